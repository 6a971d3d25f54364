"""From single verdicts to a model's quality: how many items to ask, scores, and drops against the baseline. Pure."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from vedette.settings import Evaluating
from vedette.types import Baseline, Claim, Drop, Evidence, Miss, Quality, Score, Thoughts, Ungraded
from vedette.usecases.levels import split
from vedette_benchmarker.racing import SHARE
from vedette_benchmarker.suites import Suite

MISSES_KEPT = 10
UNRUN_WEIGHT = 0.5  # of an answer whose program was parsed but not run
_MAX_SHOWN = 500
_NO_THOUGHTS = Thoughts(answers=0, tokens=0)
_ENOUGH_TO_DISPROVE = 3  # failures without a success


class Graded(Struct, frozen=True, kw_only=True):
    """The verdicts on one suite so far."""

    suite: Suite
    successes: int = 0
    trials: int = 0
    misses: tuple[Miss, ...] = ()
    ungraded: int = 0  # answers neither right nor wrong
    why_ungraded: str = ""  # the reason for the last of them
    unrun: str = ""  # why programs were not run, so that their syntax trees decided

    @property
    def score(self) -> Score:
        """The score by these verdicts."""
        return Score(
            successes=self.successes,
            trials=self.trials,
            suite=self.suite.name,
            weight=UNRUN_WEIGHT if self.unrun else 1.0,
            note=f"graded by syntax only: {self.unrun}" if self.unrun else "",
        )


def first_share(suite: Suite) -> int:
    """Return the number of items of *suite* for every model: enough to refute the capability that it checks."""
    return max(SHARE, _ENOUGH_TO_DISPROVE) if suite.capability else SHARE


def compared(suite: Suite, before: Mapping[str, Score], items: int) -> dict[str, int]:
    """Return the number of items, by kind and level, for new weights or a new server, for a comparison with *before*.

    About *items* of the suite, each level by its share of the earlier ones. Levels of another version are left out.
    """
    asked = {
        name: before[name].trials
        for name, level in suite.asked.items()
        if name in before and before[name].suite == level.name
    }
    return {name: math.ceil(items * trials / sum(asked.values())) for name, trials in asked.items() if trials}


def planned(before: Sequence[Score], settings: Evaluating) -> int:
    """Return the number of items to ask of a suite: fewer if its scores at all levels are certain.

    This is decided before the first answer. If the answers decided when to stop, the rate would be biased: a suite that
    starts with eight wrong answers would end there, and one that starts with eight wrong of nine would continue.
    """
    if not before:
        return settings.items
    low, high = replace(
        before[0],
        successes=sum(score.successes for score in before),
        trials=sum(score.trials for score in before),
        weight=min(score.weight for score in before),
    ).interval
    return min(settings.items, settings.least) if high - low <= settings.interval_width else settings.items


def together(graded: Sequence[Graded]) -> list[Graded]:
    """Return the sum for each suite, if it was asked in several parts."""
    found: dict[str, Graded] = {}
    for one in graded:
        before = found.get(one.suite.kind, Graded(suite=one.suite))
        found[one.suite.kind] = replace(
            one,
            successes=before.successes + one.successes,
            trials=before.trials + one.trials,
            misses=(*before.misses, *one.misses),
            ungraded=before.ungraded + one.ungraded,
            why_ungraded=one.why_ungraded or before.why_ungraded,
            unrun=one.unrun or before.unrun,  # the last part may have ended before its first answer
        )
    return list(found.values())


def is_done(graded: Graded, count: int) -> bool:
    """Return whether *count* answers have arrived, graded or not."""
    return graded.trials + graded.ungraded >= count


def miss(suite: Suite, prompt: str, answer: str, why: str) -> Miss:
    """Return a wrong answer for storage, cut to a readable length."""
    return Miss(suite=suite.name, prompt=_cut(prompt), answer=_cut(answer), why=_cut(why))


def _cut(text: str) -> str:
    # The text around a needle does not matter; the question is at the end.
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN // 2]} … {text[-_MAX_SHOWN // 2 :]}"


def most_useful(graded: Sequence[Graded]) -> tuple[Miss, ...]:
    """Return the most useful wrong answers: from each suite in turn, first where the model is usually right."""
    by_rate = sorted(
        (g for g in graded if g.misses), key=lambda g: (-g.successes / max(1, g.trials), g.suite.kind)
    )
    longest = max((len(g.misses) for g in by_rate), default=0)
    in_turn = [g.misses[place] for place in range(longest) for g in by_rate if place < len(g.misses)]
    return tuple(in_turn[:MISSES_KEPT])


def ungraded(graded: Sequence[Graded]) -> dict[str, Ungraded]:
    """Return the number of ungraded answers by kind of suite, with the reason for the last one."""
    return {
        one.suite.kind: Ungraded(answers=one.ungraded, why=_cut(one.why_ungraded))
        for one in graded
        if one.ungraded
    }


def claims(graded: Sequence[Graded]) -> dict[str, Claim]:
    """Return the capabilities that the items show: one success confirms, several failures without a success refute."""
    found = {}
    for one in graded:
        capability = one.suite.capability
        if capability is not None and (one.successes or one.trials >= _ENOUGH_TO_DISPROVE):
            source = f"{one.suite.name}: {one.successes} of {one.trials}"
            found[str(capability)] = Claim(value=one.successes > 0, evidence=Evidence.VERIFIED, source=source)
    return found


def continues(previous: Quality, digest: str | None, server_version: str | None) -> bool:
    """Return whether answers of these weights on this server add to *previous*."""
    return (previous.digest, previous.server_version) == (digest, server_version)


def fold(
    previous: Quality | None,
    scores: Mapping[str, Score],
    misses: tuple[Miss, ...],
    *,
    at: datetime,
    digest: str | None,
    server_version: str | None,
    thoughts: Thoughts = _NO_THOUGHTS,
) -> Quality:
    """Return the quality after an evaluation that gave *scores*, with *thoughts* before its answers.

    Scores add up while weights, server version and suite version stay the same. Thoughts do not depend on the suite
    version. If the weights or the server version change, both start again, and the earlier scores become the baseline.
    """
    same = previous is not None and continues(previous, digest, server_version)
    before = previous.scores if previous is not None and same else {}
    return Quality(
        measured_at=at,
        digest=digest,
        server_version=server_version,
        scores=_of_one_version(
            {**before, **{kind: added(before.get(kind), score) for kind, score in scores.items()}}
        ),
        misses=misses,
        baseline=_baseline(previous, same=same),
        thoughts=_together(previous.thoughts if previous is not None and same else None, thoughts),
    )


def _together(before: Thoughts | None, now: Thoughts) -> Thoughts | None:
    if not now.answers:
        return before
    return before + now if before else now


def _of_one_version(scores: Mapping[str, Score]) -> dict[str, Score]:
    """Return *scores* without levels of another version than the score of their kind is of."""
    versions = {name: score.suite.rpartition("@")[2] for name, score in scores.items()}
    return {
        name: score
        for name, score in scores.items()
        if versions.get(split(name)[0], versions[name]) == versions[name]
    }


def added(before: Score | None, score: Score) -> Score:
    """Return the sum of both scores. If they were graded in different ways, only the better graded one is kept."""
    if before is None or before.suite != score.suite:
        return score
    if before.weight != score.weight:
        return max(score, before, key=lambda one: one.weight)
    return before + score


def _baseline(previous: Quality | None, *, same: bool) -> Baseline | None:
    if previous is None:
        return None
    if same:
        return previous.baseline
    return Baseline(digest=previous.digest, server_version=previous.server_version, scores=previous.scores)


def drops(quality: Quality) -> tuple[Drop, ...]:
    """Return the kinds in which a model has become worse than its baseline, beyond the intervals of both."""
    before = quality.baseline.scores if quality.baseline else {}
    pairs = [(kind, before[kind], score) for kind, score in quality.scores.items() if kind in before]
    return tuple(
        Drop(kind=kind, before=old, after=new)
        for kind, old, new in sorted(pairs, key=lambda pair: pair[0])
        if old.suite == new.suite and new.interval[1] < old.interval[0]
    )
