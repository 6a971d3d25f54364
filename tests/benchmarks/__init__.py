"""Measurements that are claimed anywhere: `cd tests && uv run python -m benchmarks <name>`.

Each compares two things in one run, in turns, on the same machine; none is a timed test.
"""
