"""SL 651-2014: hydrological stations that dial in over TCP."""
