"""Why no model fits a request, and whether waiting helps. Pure.

Clients retry after a 503, some of them for minutes, and shorten a conversation after `context_length_exceeded`. So if
only another request can succeed, the status is 400.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from vedette.messages.queries import ExplainReply, Rejection, Relaxation, TopReply
from vedette.text.figures import number
from vedette.text.rejected import in_words
from vedette.text.shown import shown_name
from vedette.types import ModelRef, Status
from vedette_gateway.problems import Problem

AGAIN_S: Final = 5.0  # clients wait a second by default; a server that starts or loads a model takes longer
# Failed Dependency: endpoints refuse our key. The request and the caller's key are right; waiting changes nothing.
REFUSED_STATUS: Final = 424
REFUSED_CODE: Final = "endpoint_refuses_key"
# Codes of rejections that may end without a change of the request, also with the suffix `_unknown`.
_PASSES: Final = frozenset(
    {"status", "endpoint_closed", "never_answered", "ttft", "output_tps", "uptime", "evidence"}
)
_UNKNOWN: Final = "_unknown"
_MAX_SHOWN: Final = 3  # models, and reasons of each


def lacks_room(reply: TopReply) -> bool:
    """Return whether no model fits now, but one would if the request needed less context."""
    relax = reply.relax
    return (
        not reply.recommendations
        and relax is not None
        and relax.constraint == "constraints.min_context_tokens"
        and not relax.also
    )


def unfit(use_case: str, reply: TopReply, explained: ExplainReply | None) -> Problem:
    """Return the error for a request for *use_case* that no model can take. *explained* has the reasons, if known."""
    if reply.recommendations:
        shown = shown_name(reply.recommendations[0].model)
        problem = f"{shown} is best for {use_case}, but has no URL for OpenAI clients"
        return Problem(400, "not_callable", problem, param="model")
    if lacks_room(reply) and reply.relax:
        return _too_long(use_case, reply.relax)
    rejections = _by_model(explained.rejections if explained else ())
    if rejections and not any(_all_pass(why) for why in rejections.values()):
        refusing = [model for model, why in rejections.items() if all(map(_is_refused, why))]
        if refusing:
            return _refused(use_case, refusing)
        return Problem(400, "no_model_fits", _never(use_case, reply.considered, rejections))
    return Problem(503, "no_model", _not_now(use_case, reply), retry_after_s=AGAIN_S)


def _refused(use_case: str, models: Sequence[ModelRef]) -> Problem:
    endpoints = dict.fromkeys(model.endpoint for model in models)
    problem = (
        f"the models that fit {use_case} are at endpoints that refuse the key or the account that Vedette has for "
        f'them: {", ".join(endpoints)}; "vedette doctor" shows what they say and what to do'
    )
    return Problem(REFUSED_STATUS, REFUSED_CODE, problem)


def _too_long(use_case: str, relax: Relaxation) -> Problem:
    problem = (
        f"the request needs a context of about {number(relax.need)} tokens; the maximum context length of "
        f"the models that fit {use_case} now is {number(relax.to)} tokens ({shown_name(relax.model)})"
    )
    return Problem(400, "context_length_exceeded", problem)


def _not_now(use_case: str, reply: TopReply) -> str:
    relax = reply.relax
    remedy = f"; relax {relax.constraint}, and {shown_name(relax.model)} fits" if relax else ""
    rejected = ", ".join(f"{n} for {in_words(code)}" for code, n in reply.rejected.items())
    known = f" of {reply.considered} models" if reply.considered else ""
    return f"no model{known} fits {use_case} now ({rejected or 'none is known'}){remedy}"


def _never(use_case: str, considered: int, rejections: Mapping[ModelRef, Sequence[Rejection]]) -> str:
    """Return a sentence with the missing capabilities, and up to three rejected models with their reasons."""
    abilities = dict.fromkeys(str(one.need) for why in rejections.values() for one in why if _is_ability(one))
    missing = [name for name in abilities if all(_lacks(why, name) for why in rejections.values())]
    if missing:
        what = f"none is known to have {_listed(missing, 'or')}"
    elif abilities:
        what = f"none has {_listed(list(abilities), 'and')} and meets the other limits"
    else:
        what = "each is outside a limit of the request"
    nearest = [
        f"{shown_name(model)} ({', '.join(_reason(one) for one in why[:_MAX_SHOWN])})"
        for model, why in list(rejections.items())[:_MAX_SHOWN]
    ]
    return f"no model of {considered} fits this request for {use_case}: {what}; nearest: {', '.join(nearest)}"


def _by_model(rejections: Iterable[Rejection]) -> dict[ModelRef, list[Rejection]]:
    found: dict[ModelRef, list[Rejection]] = {}
    for one in rejections:
        found.setdefault(one.model, []).append(one)
    return found


def _all_pass(why: Iterable[Rejection]) -> bool:
    return all(_passes(one) for one in why)


def _passes(one: Rejection) -> bool:
    """Return whether *one* may end without a change of the request.

    An unknown capability may, but only of a model of unknown kind: its kind is found out later.
    """
    if one.code == f"capability{_UNKNOWN}":
        return one.value is not None
    if _is_refused(one):
        return False
    return one.code.removesuffix(_UNKNOWN) in _PASSES


def _is_refused(one: Rejection) -> bool:
    """Return whether the endpoint refuses our key or account. Then an operator must act."""
    return one.code == "status" and one.value == Status.AUTH_FAILED


def _is_ability(one: Rejection) -> bool:
    return one.code.removesuffix(_UNKNOWN) == "capability"


def _lacks(why: Iterable[Rejection], ability: str) -> bool:
    return any(_is_ability(one) and str(one.need) == ability for one in why)


def _reason(one: Rejection) -> str:
    is_unknown = one.code.endswith(_UNKNOWN)
    if _is_ability(one):
        return f"{one.need} {'unknown' if is_unknown else 'missing'}"
    what = in_words(one.code.removesuffix(_UNKNOWN))
    if is_unknown:
        return f"{what} unknown"
    return what if one.value is None else f"{what} {one.value}"


def _listed(names: Sequence[str], joined: str) -> str:
    return f" {joined} ".join(name.replace("_", " ") for name in names)
