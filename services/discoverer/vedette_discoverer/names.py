"""Which model the name in a listing means. Published facts use the same reading of names. Pure."""

from vedette.knowledge.names import Identity, Parsed, identify, parse

__all__ = ["Identity", "Parsed", "identify", "parse"]
