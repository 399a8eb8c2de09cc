"""The demonstration at drawn instants, on virtual time: whenever it is started, the alarms that are due and no others."""
