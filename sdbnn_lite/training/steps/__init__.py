"""One training step: readable, as a CUDA graph, shared among processes."""
