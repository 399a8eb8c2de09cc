"""Slow, obvious twins of the kernels, written from the specification. They import nothing of the product."""
