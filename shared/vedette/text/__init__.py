"""Text from outside, as people and models may read it. Pure."""
