"""LoRaWAN: uplinks as a network server publishes them, and what sensors put into their few bytes."""
