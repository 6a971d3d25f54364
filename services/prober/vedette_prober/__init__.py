"""The prober: watches whether each model answers, without disturbing it."""
