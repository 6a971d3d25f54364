"""Tables on screens of any width: names stay whole or recognisable, and less important columns go first."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from vedette.cli.fitting import GAP, Column, distinct, fitted
from vedette.cli.output import Screen, sheet
from vedette.text.figures import apart

LONG = "rack-with-a-longer-name/Qwen/Qwen2.5-Coder-32B-Instruct-AWQ-extended-context-"
NAMES = ("gpu/llama3.1:8b", f"{LONG}v2", f"{LONG}v3", "gpu/\u5343\u95ee" * 6)
COLUMNS = (
    Column("model", 0, "name"),
    Column("size", 3, "number"),
    Column("status"),
    Column("tokens/s", 1, "number"),
    Column("why", 2),
)
ROWS = [(name, "32.0B", "available", "1,234.5", "it answers, and it is fast") for name in NAMES]


def screen(width: int, *, terminal: bool = True) -> tuple[Screen, io.StringIO]:
    written = io.StringIO()
    return Screen(
        file=written, width=width, force_terminal=terminal, no_color=True, color_system=None
    ), written


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_screen_and_no_name_is_broken(width: int) -> None:
    """Each model has one line that begins with its name, whole or cut in the middle, unlike every other."""
    on, written = screen(width)
    sheet(COLUMNS, ROWS, screen=on)
    lines = written.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width
    names = [line.split()[0] for line in lines if line.startswith(("gpu/", "rack"))]
    assert len(names) == len(set(names)) == len(NAMES)
    assert names[0] == NAMES[0]  # short enough to be whole everywhere
    for shown, name in zip(names, NAMES, strict=True):
        begin, _, end = shown.partition("…")
        assert name.startswith(begin)
        assert name.endswith(end)


def test_less_important_columns_go_first_and_are_counted() -> None:
    """By rank, one after the other; the last line says how many."""
    seen = []
    for width in (130, 95, 82, 68):
        on, written = screen(width)
        sheet(COLUMNS, ROWS, screen=on)
        header, *_, last = written.getvalue().splitlines()
        seen.append((header.split(), last if "left out" in last else ""))
    assert seen == [
        (["model", "size", "status", "tokens/s", "why"], ""),
        (["model", "status", "tokens/s", "why"], "1 column left out: widen the terminal or use --json"),
        (["model", "status", "tokens/s"], "2 columns left out: widen the terminal or use --json"),
        (["model", "status"], "3 columns left out: widen the terminal or use --json"),
    ]


def test_what_is_piped_is_whole() -> None:
    """Nobody can widen a file."""
    on, written = screen(60, terminal=False)
    on.width = 10_000
    sheet(COLUMNS, ROWS, screen=on)
    text = written.getvalue()
    assert all(name in text for name in NAMES)
    assert "left out" not in text
    assert "…" not in text


def test_a_line_is_folded_between_words_only() -> None:
    on, written = screen(60)
    on.print(f"The nearest of the others is {NAMES[0]}-and-more/of-it: relax constraints.max_ttft_ms")
    assert f"{NAMES[0]}-and-more/of-it:" in written.getvalue()
    assert max(map(len, written.getvalue().splitlines())) <= 60


@given(
    names=st.lists(st.text("ab/-.\u5343", min_size=1, max_size=90), min_size=1, max_size=8),
    others=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), max_size=8),
    width=st.integers(20, 220),
)
def test_whatever_is_shown_fits(names: list[str], others: list[tuple[int, int]], width: int) -> None:
    """The first column is always there; the sum of what is shown is no wider than the screen."""
    columns = [Column("model", 0, "name"), *(Column("n", rank + 1, "number") for rank, _ in others)]
    rows = [(name, *("9" * length for _, length in others)) for name in names]
    places, widths = fitted(columns, rows, width)
    assert places[0] == 0
    assert sum(widths) + GAP * (len(widths) - 1) <= width
    assert all(cell_len(name) <= widths[0] for name in distinct(names, widths[0]))


@given(one=st.floats(0, 1e6), other=st.floats(0, 1e6), digits=st.integers(0, 4), fixed=st.booleans())
def test_figures_that_differ_are_written_differently(
    one: float, other: float, digits: int, fixed: bool
) -> None:
    """However near they are."""
    texts = apart(one, other, digits, fixed=fixed)
    assert (texts[0] == texts[1]) == (one == other)


def test_figures_get_no_more_digits_than_they_need() -> None:
    assert apart(97.54, 97.46, 1, fixed=True) == ("97.54", "97.46")
    assert apart(97.5, 42.0, 1, fixed=True) == ("97.5", "42.0")
    assert apart(500.02, 500.0, 4) == ("500.02", "500")
