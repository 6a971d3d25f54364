"""What a test needs of the machine: missing, it is one skip line; where VEDETTE_REQUIRE names it, a failure."""

import os
from typing import NoReturn

import pytest


def missing(thing: str, remedy: str) -> NoReturn:
    """Skip because *thing* is absent, or fail where VEDETTE_REQUIRE (comma-separated) names it."""
    sentence = f"{thing} is missing; {remedy}"
    if thing in os.environ.get("VEDETTE_REQUIRE", "").split(","):
        pytest.fail(sentence)
    pytest.skip(sentence)
