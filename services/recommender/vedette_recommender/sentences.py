"""An explanation in sentences: the winner, the next model, and what would change this. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from vedette.messages.queries import Contribution, Improvement, Recommendation, Relaxation
from vedette.text.figures import apart, plural
from vedette.text.rejected import why_none
from vedette.text.shown import quoted_name
from vedette.types import Capability, ModelRef, Signal
from vedette.usecases import SIGNALS
from vedette.usecases.estimating import Scale
from vedette_recommender.bounds import BOUNDS
from vedette_recommender.explain import Account
from vedette_recommender.field import Place
from vedette_recommender.spreading import Equal

_MIN_SHOWN_POINTS: Final = 0.1
_MIN_SHIFT: Final = 0.2  # logits; less is not worth a word
_MAX_NAMED: Final = 3


def summary(
    use_case: str,
    best: tuple[Account, Place] | None,
    second: tuple[Account, Place] | None,
    considered: int,
    relax: Relaxation | None,
    improve: Improvement | None,
    lacking: Sequence[str],
    rejected: Mapping[str, int],
) -> tuple[str, ...]:
    """Return the answer in two sentences. *lacking* are the capabilities that no model is known to have.

    *rejected* has the number of rejected models for each reason.
    """
    if best is None:
        return (
            f"No model is a candidate for {use_case}; {considered} considered.",
            advice(relax, considered, lacking, rejected),
        )
    account, standing = best
    parts = account.contributions()
    strongest = max(parts, key=lambda part: part.points)
    others = [part for part in parts if part is not strongest]
    weakest = max(others, key=lambda part: part.weight * (1.0 - part.utility))
    opening = (
        f"{quoted_name(account.facts.model)} is best for {use_case} with {standing.score:.1f} of 100: "
        f"{_said(strongest.signal)} earns the most ({strongest.points:.1f}{_unmeasured(strongest)}), "
        f"{_said(weakest.signal)} costs it the most{' (not measured)' if _unmeasured(weakest) else ''}"
        f"{_unevaluated(parts)}."
    )
    if second is None:
        return opening, "There is no other candidate."
    return opening, _rival(parts, standing, *second, improve)


def _said(signal: Signal) -> str:
    """Return the name of *signal* in a sentence."""
    return "TTFT" if signal == "ttft" else signal


def _unmeasured(part: Contribution) -> str:
    """Return that a speed or a time is only expected, where nothing measured it."""
    return ", expected, not measured" if part.signal in ("speed", "ttft") and part.raw is None else ""


def _unevaluated(parts: Sequence[Contribution]) -> str:
    """Return what must be known of a winner whose quality was not measured."""
    quality = next(part for part in parts if part.signal == "quality")
    return "; its quality is expected, not evaluated here" if quality.raw is None and quality.weight else ""


def _beyond(standing: Place) -> str:
    """Return which bounds a model is beyond."""
    names = [name for name in BOUNDS if name in standing.multipliers]
    return f"; it is beyond the bound {' and '.join(names)}" if names else ""


def spread_over(equals: Sequence[Equal], first: int) -> tuple[str, ...]:
    """Return in a sentence over which *equals* callers are spread, and which this one gets: the *first*."""
    if len(equals) < 2:
        return ()
    shares = ", ".join(f"{quoted_name(one.name)} {one.weight:.0%}".replace("%", " %") for one in equals)
    return (
        f"Callers are spread over {len(equals)} equals: {shares}; this one gets {quoted_name(equals[first].name)}.",
    )


def scaled(scale: Scale) -> tuple[str, ...]:
    """Return in a sentence how the answers of all models together differ from published facts."""
    if abs(scale.raised) < _MIN_SHIFT:
        return ()
    better, more = ("better", "more") if scale.raised > 0 else ("worse", "less")
    beyond = ""
    if scale.eased:
        hard = "easy" if scale.eased > 0 else "hard"
        beyond = f"; the questions are too {hard} to tell models apart, so what is published counts for more"
    return (
        f"The models evaluated here do {better} than published, so {more} is expected of all others{beyond}.",
    )


def of_unknown_kind(models: Sequence[ModelRef]) -> tuple[str, ...]:
    """Return in a sentence which *models* are no candidates only because it is unknown whether they chat."""
    if not models:
        return ()
    shown = ", ".join(map(quoted_name, models[:_MAX_NAMED]))
    more = f" and {len(models) - _MAX_NAMED:,} more" if len(models) > _MAX_NAMED else ""
    return (
        f"{shown}{more} {plural(len(models), 'is', 'are')} of unknown kind: no call has shown that "
        f"{plural(len(models), 'it chats', 'they chat')}; "
        f'"vedette verify {quoted_name(models[0])}" asks.',
    )


def unloading(served: Sequence[Recommendation]) -> tuple[str, ...]:
    """Return a sentence on the models that a call of the first of *served* may unload."""
    names = served[0].may_unload if served else ()
    if not names:
        return ()
    shown = ", ".join(map(quoted_name, names[:_MAX_NAMED]))
    more = f" and {len(names) - _MAX_NAMED:,} more" if len(names) > _MAX_NAMED else ""
    model = quoted_name(served[0].model)
    return (f"{model} is not loaded; its server may unload {shown}{more} to load it.",)


def unproven(capabilities: Sequence[Capability]) -> tuple[str, ...]:
    """Return in a sentence which needed *capabilities* the candidates may lack."""
    if not capabilities:
        return ()
    names = " and ".join(one.replace("_", " ") for one in capabilities)
    return (f"No model is known to have {names}; the candidates may have it.",)


def tied(first: Place, second: Place) -> bool:
    """Return whether the scores differ by less than is shown: almost any change brings the second to the front."""
    return first.score - second.score < _MIN_SHOWN_POINTS


def _rival(
    best: Sequence[Contribution],
    standing: Place,
    account: Account,
    second: Place,
    improve: Improvement | None,
) -> str:
    margin, name = standing.score - second.score, quoted_name(account.facts.model)
    change = f"; it would win with {_changed(improve, account)}" if improve else _beyond(second)
    if second.equivalent:
        behind = f"less than {_MIN_SHOWN_POINTS}" if margin and tied(standing, second) else f"{margin:.1f}"
        return f"{name} is its equal: {behind} points behind, within the error band{change}."
    gaps = [(a.points - b.points, a.signal) for a, b in zip(best, account.contributions(), strict=True)]
    lead, signal = max(gaps)
    mostly = f", mostly for its {_said(signal)} ({lead:+.1f})" if lead > 0 else ""
    return f"{name} follows {margin:.1f} points behind{mostly}{change}."


def _changed(improve: Improvement, account: Account) -> str:
    """Return the change in words; of a speed or a TTFT also why it is not as at rest."""
    if improve.signal == "status" or isinstance(improve.to, str) or improve.raw is None:
        return f"the status {improve.to}"
    if improve.unit in ("fraction", "probability"):
        to, raw = apart(100 * improve.to, 100 * improve.raw, 1, fixed=True)
        return f"a {_said(improve.signal)} of {to} % instead of {raw} %"
    if improve.unit == "tokens":
        to, raw = apart(improve.to, improve.raw, 0, fixed=True)
        return f"a {_said(improve.signal)} of {to} tokens instead of {raw}"
    to, raw = apart(improve.to, improve.raw, 4)
    slowed = account.slowed(SIGNALS.index(improve.signal))
    return f"a {_said(improve.signal)} of {to} {improve.unit} instead of {raw}" + (
        f" ({slowed})" if slowed else ""
    )


def advice(
    relax: Relaxation | None, considered: int, lacking: Sequence[str], rejected: Mapping[str, int]
) -> str:
    """Return in a sentence what would admit the nearest of the models *considered*, or why nothing would."""
    if relax is None and considered and lacking:
        return f"None of them is known to have {' or '.join(name.replace('_', ' ') for name in lacking)}."
    if relax is None:
        return why_none(rejected, considered)
    also = f" and {', '.join(relax.also)}" if relax.also else ""
    change = f"changing {relax.constraint} from {relax.need} to {relax.to}"
    if relax.to is None:
        change = f"dropping {relax.need} from {relax.constraint}"
    return f"{quoted_name(relax.model)} is the nearest miss: {change}{also} admits it."
