"""Everything ever measured, for charts and exports. Only this package touches it.

The journal is the truth and history is a reader of it: what is written here can be rebuilt, and a replay writes the
same again.
"""
