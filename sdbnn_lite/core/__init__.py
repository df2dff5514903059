"""From the equations to the network, and what its signs say: the library to read."""
