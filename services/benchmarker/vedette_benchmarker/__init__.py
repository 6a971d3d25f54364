"""Measure how fast models answer, one at a time per host group."""
