"""Codecs against bytes that nobody meant: worked messages, damaged by chance. `make fuzz N=1000000`."""
