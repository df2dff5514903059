"""Data in, a matplotlib figure out; and which committed result becomes which file in ``figures/``."""
