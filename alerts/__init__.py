"""From the journal to people: rules, the engine that judges readings by them, and the notices it owes."""
