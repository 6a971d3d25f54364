"""The next steps for a judge: missing texts first, then comparisons. Pure."""

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from vedette.endpoints import judging
from vedette.endpoints.judging import Contender
from vedette.settings import Judge
from vedette.types import ModelRef
from vedette.usecases import UseCase


class Next(Struct, frozen=True, kw_only=True):
    """The next work of one model: write texts for use cases, or compare the texts of a *pool* for one."""

    model: ModelRef
    use_cases: tuple[str, ...]
    pool: tuple[ModelRef, ...] = ()


May = Callable[[Next], bool]  # whether a model may ever be asked to do that


def allowed(one: Contender, may: May, use_cases: tuple[str, ...]) -> Contender:
    """Return *one* with the work that it *may* do: to write for *use_cases*, and to compare."""
    write = Next(model=one.model, use_cases=use_cases)
    return replace(one, writes=may(write), judges=may(replace(write, pool=(one.model,))))


def next_steps(
    contenders: Mapping[ModelRef, Contender], use_cases: Mapping[str, UseCase], settings: Judge, *, paid: bool
) -> list[Next]:
    """Return the next work: one step for each model, missing texts first.

    A session that was held is not held again before its judge, its models or their weights change.
    """
    write: dict[ModelRef, list[str]] = {}
    compare: dict[ModelRef, Next] = {}
    for name in settings.use_cases:
        session = judging.choose(contenders.values(), use_cases[name], settings, paid=paid)
        if isinstance(session, str) or judging.is_held(session, contenders):
            continue
        lacking = judging.lacking(session, contenders, settings.tasks)
        for model in lacking:
            write.setdefault(model, []).append(name)
        if not lacking:
            compare.setdefault(
                session.judge, Next(model=session.judge, use_cases=(name,), pool=session.compared)
            )
    writing = [Next(model=model, use_cases=tuple(names)) for model, names in write.items()]
    return [*writing, *(one for model, one in compare.items() if model not in write)]
