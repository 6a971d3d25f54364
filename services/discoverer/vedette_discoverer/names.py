"""Which model the name in a listing means, read as `vedette.knowledge` reads names in published facts. Pure."""

from vedette.knowledge.names import Identity, Parsed, identify, parse

__all__ = ["Identity", "Parsed", "identify", "parse"]
