"""The headers of a reply: the model, the reason, the attempts, and the time of the choice. Pure."""

from collections.abc import Sequence

from vedette.text.figures import counted
from vedette.text.shown import shown_name
from vedette_gateway.calling import Attempt, Begun
from vedette_gateway.finding import Found
from vedette_gateway.problems import Problem

_MAX_CHARACTERS = 500
# Headers that pages of the configured origins may read.
READABLE = (
    "retry-after",
    *(
        f"x-ratelimit-{what}-{of}"
        for what in ("limit", "remaining", "reset")
        for of in ("requests", "tokens")
    ),
    *(
        f"x-vedette-{name}"
        for name in (
            "model",
            "reason",
            "attempts",
            "failed",
            "decision-ms",
            "use-case",
            "confidence",
            "score",
            "stale",
            "remaining-usd",
        )
    ),
)


def of_reply(found: Found, begun: Begun, decided_ms: float) -> dict[str, str]:
    """Return the headers of a reply that has begun."""
    candidate = begun.candidate
    headers = {
        **begun.reply.headers,
        "cache-control": "no-store",
        "x-vedette-model": _plain(str(candidate.model)),
        "x-vedette-reason": _plain(reason(found, begun)),
        "x-vedette-attempts": str(len(begun.failed) + 1),
        "x-vedette-decision-ms": f"{decided_ms:.3f}",
    }
    if found.use_case:
        headers["x-vedette-use-case"] = _plain(found.use_case)
    if found.guess:
        headers["x-vedette-confidence"] = f"{found.guess.confidence:.2f}"
    if candidate.score is not None:
        headers["x-vedette-score"] = f"{candidate.score:.1f}"
    if begun.failed:
        headers["x-vedette-failed"] = failed(begun.failed)
    if found.stale:
        headers["x-vedette-stale"] = "1"
    return headers


def of_problem(problem: Problem, tried: Sequence[Attempt]) -> dict[str, str]:
    """Return the headers of an error."""
    return {**problem.headers, **({"x-vedette-failed": failed(tried)} if tried else {})}


def failed(attempts: Sequence[Attempt]) -> str:
    """Return how each of *attempts* ended."""
    return _plain(", ".join(f"{one.model} {one.outcome}" for one in attempts))


def reason(found: Found, begun: Begun) -> str:
    """Return in one line why this model replied."""
    candidate = begun.candidate
    if found.use_case is None:
        why = "it was named"
    else:
        place = next((at for at, one in enumerate(found.candidates, 1) if one.model == candidate.model), 1)
        what = "the best" if place == 1 else f"number {place}"
        why = f"{what} of {counted(found.considered, 'model')} for {found.use_case}"
        second = next((one for one in found.candidates if one.model != candidate.model), None)
        if place == 1 and second and candidate.score is not None and second.score is not None:
            why += f", {candidate.score - second.score:.1f} points before {shown_name(second.model)}"
    if found.unknown:
        names = " and ".join(one.replace("_", " ") for one in found.unknown)
        why += f"; whether it has {names} is unknown"
    if found.guess:
        why += f"; {found.guess.use_case} because of {found.guess.by}"
    if begun.failed:
        why += f"; {len(begun.failed)} failed before"
    return why


def _plain(text: str) -> str:
    """Return *text* as a header can carry it: names come from servers."""
    if text.isascii() and text.isprintable():
        return text[:_MAX_CHARACTERS]
    visible = "".join(c if c.isprintable() else "?" for c in text[:_MAX_CHARACTERS])
    return visible.encode("ascii", "backslashreplace").decode()
