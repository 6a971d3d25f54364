"""Measures the speed, the capabilities and the quality of models, one model at a time in each host group."""
