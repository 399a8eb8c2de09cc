"""DL/T 698.45: the object-oriented meters of the State Grid, read only."""
