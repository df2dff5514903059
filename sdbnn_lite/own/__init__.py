"""Your own network and your own pictures."""
