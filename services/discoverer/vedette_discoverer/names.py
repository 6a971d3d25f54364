"""Which model the name in a listing means. The reading of names is shared with what is published of models. Pure."""

from vedette.knowledge.names import Identity, Parsed, identify, parse

__all__ = ["Identity", "Parsed", "identify", "parse"]
