"""Regret on a published board that Vedette does not see: a short run of `benchmarks regret --world published`."""

import pytest

from benchmarks.regret import boards, published
from vedette.knowledge import bundled

ARENA = next(board for board in boards.BOARDS if board.name == "Arena")
FLEETS = 6


@pytest.fixture(scope="module")
def lost() -> published.Lost:
    """Return what each chooser lost in a few fleets of the Arena."""
    return published.measure(FLEETS, only=(ARENA,))


@pytest.mark.parametrize(
    ("known", "bound"), [("name only", 0.6), ("other boards", 0.5), ("evaluated", 0.3), ("both", 0.3)]
)
def test_it_loses_a_fraction_of_what_chance_loses(lost: published.Lost, known: str, bound: float) -> None:
    """By quality alone, over the use cases of the board."""
    means = {who: sum(lost["Arena", "quality", who, ""]) / FLEETS for who in (known, "random")}
    assert means[known] < bound * means["random"]


def test_an_unseen_board_tells_nothing() -> None:
    """A model that only this board lists is not known by a score, and others are known otherwise than before."""
    without = boards.without(ARENA.words)
    only_there = [
        (name, mode)
        for (name, mode), told in boards.scores().items()
        if all("arena" in benchmark.lower() for benchmark in told) and mode in bundled().modes(name)
    ]
    assert len(only_there) > 20
    assert all(without.modes(name)[mode].ability is None for name, mode in only_there)
    moved = [
        (name, row.ability)
        for name in boards.truths(ARENA.editions[0])
        if (row := without.modes(name).get("plain")) and row.ability
    ]
    assert all(ability != bundled().modes(name)["plain"].ability for name, ability in moved)


def test_hidden_models_keep_size_and_date_alone() -> None:
    """Nothing of theirs is fitted, so that only size, date and family are left."""
    hidden = frozenset({"llama-3.1-8b"})
    row = boards.without(ARENA.words, hidden).modes("llama-3.1-8b")["plain"]
    assert row.ability is None
    assert row.size_b == pytest.approx(8.0, rel=0.02)
    assert row.released is not None


def test_a_rating_is_a_share_of_wins() -> None:
    """Half against the median model, 10 of 11 at 400 points more; other scores are shares already."""
    assert boards.share("Arena text", (1300 - 800) / 7.5) == pytest.approx(0.5)
    assert boards.share("Arena text", (1700 - 800) / 7.5) == pytest.approx(10 / 11)
    assert boards.share("OLLv2 BBH", 40.0) == 0.4
