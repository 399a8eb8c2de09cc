"""The page that a gateway itself serves at its gate, with the network cut or not: lanes, local alarms, a guard's decision."""
