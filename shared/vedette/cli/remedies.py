"""The place where scripts of operators import from what is in `vedette.remedies`."""

from vedette.remedies import REMEDIES, advice, remedy_for

__all__ = ["REMEDIES", "advice", "remedy_for"]
