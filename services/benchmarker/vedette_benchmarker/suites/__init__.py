"""Quality suites."""
