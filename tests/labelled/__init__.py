"""Prompts by the use case that they are for, with which nothing is tuned."""

from pathlib import Path
from typing import Final

from vedette_gateway.examples import Example, read

_FILE: Final = Path(__file__).with_name("heldout.toml")


def heldout() -> list[Example]:
    """Return them as requests for `vedette/auto`."""
    return read(_FILE)
