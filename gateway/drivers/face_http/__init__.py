"""The same terminals, pushing over HTTP."""
