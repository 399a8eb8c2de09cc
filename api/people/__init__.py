"""Who there is, how they come in, and what proves that it is them."""
