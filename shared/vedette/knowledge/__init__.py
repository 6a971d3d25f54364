"""Published facts about models: the expected quality, the release date, the end of service. Pure.

Other packages call `known(info)`, and `thoughts_of(info)` for the reasoning tokens before an answer. docs/knowledge.md
explains the figures and how the tables are made.
"""

from vedette.knowledge.knowing import known, of_name
from vedette.knowledge.table import Table, bundled
from vedette.knowledge.thoughts import thoughts_of
from vedette.knowledge.values import Basis, Expectation, Known, shut_down

__all__ = [
    "Basis",
    "Expectation",
    "Known",
    "Table",
    "bundled",
    "known",
    "of_name",
    "shut_down",
    "thoughts_of",
]
