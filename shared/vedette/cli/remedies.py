"""The earlier import path of `vedette.remedies`, which scripts of operators still use."""

from vedette.remedies import REMEDIES, advice, remedy_for

__all__ = ["REMEDIES", "advice", "remedy_for"]
