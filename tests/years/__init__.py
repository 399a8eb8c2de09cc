"""Years of operation on virtual time: whether anything grows without bound, and whether anybody's hand is needed."""
