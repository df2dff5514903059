"""The version, which the JSON beside every result quotes."""

__version__ = "0.1.0"
