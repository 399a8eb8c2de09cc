"""Ground floor: readings, frames, the journal, the catalogue, clocks and errors. No network in here."""
