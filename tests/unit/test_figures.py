"""Figures for people."""

import pytest

from vedette.text import figures


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "-"),
        (0.0, "0 %"),
        (0.004, "0 %"),
        (0.5, "50 %"),
        (0.9949, "99 %"),
        (0.995, "99.5 %"),
        (0.9972, "99.7 %"),
        (0.9999, "99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_only_all_of_it_is_shown_as_all(share: float | None, shown: str) -> None:
    assert figures.percent(share) == shown
