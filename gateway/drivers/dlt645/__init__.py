"""DL/T 645: Chinese electricity meters of both editions, several on one line."""
