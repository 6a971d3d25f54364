"""The prober: checks whether models are reachable, without disturbing them."""
