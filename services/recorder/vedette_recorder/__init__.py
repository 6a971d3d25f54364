"""The recorder: every event into SQL, once."""
