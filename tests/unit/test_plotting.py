"""Drawings: what is known is seen, what is not known is not zero, and it fits."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vedette.cli.plotting import GUTTER, Chart, bars, lines

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def chart(values: list[float | None], top: float | None = None) -> Chart:
    """Return a chart of *values* over a day."""
    return Chart(
        title="rate",
        since=NOW - timedelta(days=1),
        until=NOW,
        values=values,
        write=lambda value: f"{value:.1f}",
        top=top,
    )


def heights(drawn: list[str]) -> list[int]:
    """Return how many eighths of a line each column of *drawn* has."""
    return [sum(" ▁▂▃▄▅▆▇█".find(line[n]) for line in drawn if line[n] != "·") for n in range(len(drawn[0]))]


@given(st.lists(st.none() | st.floats(0, 1e9), min_size=1, max_size=80), st.integers(1, 10))
def test_higher_values_are_drawn_no_lower(values: list[float | None], height: int) -> None:
    """Known values have a block at least, unknown ones a dot and nothing else, and the highest reaches the top."""
    top = max((value for value in values if value is not None), default=1.0) or 1.0
    drawn = bars(values, top=top, height=height)
    assert {len(line) for line in drawn} == {len(values)}
    assert [line == "·" for line in drawn[-1]] == [value is None for value in values]
    known = [(value, tall) for value, tall in zip(values, heights(drawn), strict=True) if value is not None]
    assert sorted(tall for _, tall in known) == [tall for _, tall in sorted(known)]
    assert all(1 <= tall <= 8 * height for _, tall in known)
    assert all(tall == 8 * height for value, tall in known if value == top > 1e-300)


def test_a_chart_has_its_scale_and_its_time() -> None:
    """Zero is drawn, the unknown is a dot, and the title says what that means."""
    assert lines(chart([None, 0.0, 20.0], top=None)) == [
        "rate (· not measured)",
        "     20.0 │  █",
        "          │  █",
        "          │  █",
        "          │  █",
        "      0.0 │·▁█",
        "           11-22 12:00 11-23 12:00",
    ]


def test_nothing_known_is_one_line() -> None:
    """There is no scale to draw."""
    assert lines(chart([None, None])) == ["rate: nothing measured"]


def test_all_zero_stays_at_the_foot() -> None:
    """With some scale."""
    assert lines(chart([0.0, 0.0]))[5] == "      0.0 │▁▁"


def test_a_chart_is_as_wide_as_its_values() -> None:
    """So that whoever chooses their number can make it fit."""
    assert max(map(len, lines(chart([1.0] * 60)))) == GUTTER + 60
