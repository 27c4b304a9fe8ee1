"""Real networks, in Linen and in NNX, for tests and benches that need more than one layer."""
