"""The expected quality of one listed model, by published facts. Pure.

The most specific known fact decides: the model itself; its original or its family; the tier word and date of a hosted
name; size and date; size. Each gives a distribution of ability, which the scale converts to quality.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from vedette.knowledge import names, recognition, scale
from vedette.knowledge.abilities import AXES_OF, Ability, Mode, of_use_case
from vedette.knowledge.lines import tier, year
from vedette.knowledge.quantised import kept
from vedette.knowledge.recognition import Spelled
from vedette.knowledge.table import FamilyRow, Row, Table, bundled
from vedette.knowledge.values import Basis, Expectation, Known
from vedette.types import ModelInfo

SAME_SIZE: Final = (0.7, 1.45)  # parameters by the server, relative to the published ones
SAME_SNAPSHOT: Final = timedelta(days=60)  # a date this close to the release means the same weights
CUTOFF_TO_RELEASE: Final = 0.6  # years from a knowledge cut-off to the release, from models that state both
# Years subtracted from the release of open weights without a known version, and of hosted models without version and
# date (from the newest of their vendor).
DOUBT_YEARS: Final = 0.75
DOUBT: Final = 0.4  # of ability: about half a year of progress
HOSTED_YEARS: Final = 2.0  # a hosted model of an unknown vendor counts this much older than the newest fact
OTHER_KIND: Final = Ability(mean=-3.5, deviation=1.0)  # for a use case that the model was not made for
# Words of hosted models without published sizes.
_HOSTED: Final = frozenset(
    """
    claude gpt chatgpt o1 o3 o4 o5 o6 o7 o8 o9 gemini grok command nova sonar kimi glm minimax ernie doubao hunyuan
    palmyra jamba reka mistral magistral codestral ministral pixtral devstral deepseek qwen qwq
    step inflection mercury titan solar llama muse
    """.split()  # noqa: SIM905
)
# Words among them of models whose weights were never published.
_CLOSED: Final = frozenset({"claude", "gpt", "chatgpt", "o1", "o3", "o4", "gemini", "nova", "sonar", "text"})
_EMBEDS: Final = re.compile(r"embed|minilm|mpnet|(?<![a-z])(?:bge|e5|gte|voyage)-")
_OPEN: Final = frozenset({"gemma", "phi", "granite", "olmo", "falcon", "yi", "smollm", "internlm"})
_VERSION: Final = re.compile(r"[a-z]?(\d{1,2}(?:\.\d{1,2})?)[a-z]?")
_MONTH: Final = re.compile(r"(?:20)?(2[3-9])(0[1-9]|1[0-2])")  # the date of a snapshot
_GENERATION: Final = re.compile(r"v?\d{1,2}(?:\.\d{1,2})?")


class Stated(Struct, frozen=True, kw_only=True):
    """The parts of a listing that an expectation depends on."""

    names: tuple[str, ...]  # the most certain first
    kind: str = "chat"
    parameters_b: float | None = None
    active_b: float | None = None
    quantization: str | None = None
    cutoff: str | None = None
    remote: bool = True  # it may be a hosted model
    hosted: bool = False  # it is a hosted model
    weights: bool = False  # whether the server names a file of weights
    retires: date | None = None


class _Belief(Struct, frozen=True, kw_only=True):
    """A distribution of ability, and its basis."""

    basis: Basis
    ability: Ability
    name: str | None = None
    sources: tuple[str, ...] = ()
    released: date | None = None
    shutdown: date | None = None
    deprecated: bool = False
    size_b: float | None = None  # total size, for the loss by quantization
    base: bool = False


def known(info: ModelInfo, table: Table | None = None) -> Known:
    """Return the published facts about the model of *info*. Never None: without facts, the basis is "nothing"."""
    spellings = (info.canonical, info.model.name)
    stated = Stated(
        names=tuple(name for name in spellings if name),
        kind=info.asked_as,
        parameters_b=info.parameters / 1e9 if info.parameters else None,
        active_b=info.active_parameters / 1e9 if info.active_parameters else None,
        quantization=info.quantization,
        cutoff=info.knowledge_cutoff,
        remote=info.locality != "local",
        hosted=info.locality == "remote",
        weights=any((info.parameters, info.quantization, info.digest, info.size_bytes, info.format)),
        retires=info.retires_at.date() if info.retires_at else None,
    )
    return of_stated(stated, bundled() if table is None else table)


def of_name(name: str, table: Table | None = None) -> Known:
    """Return the published facts about a model by its name alone."""
    return of_stated(Stated(names=(name,), kind="unknown"), bundled() if table is None else table)


class _Seen(NamedTuple):
    """One name of a model, and the listed model that it is (`exact`) or was made from."""

    name: str
    spelled: Spelled
    found: str | None
    exact: bool


@lru_cache(maxsize=512)  # one model may be at many endpoints under the same name
def of_stated(stated: Stated, table: Table) -> Known:
    """Return the published facts about a listed model."""
    seen = [_seen(name, stated, table) for name in stated.names]
    kind = _kind(stated, seen, table)
    belief = _embedding(stated, seen, table) if kind == "embedding" else _chat(stated, seen, table)
    quantization = stated.quantization or next(
        (written for name in stated.names if (written := names.write(name).quantization)), None
    )
    trained = any("qat" in one.spelled.words for one in seen)
    share = 1.0 if trained else kept(table.losses, belief.size_b or stated.parameters_b, quantization)
    return Known(
        name=belief.name,
        basis=belief.basis,
        expectations={use_case: _expected(use_case, belief, share, kind, table) for use_case in AXES_OF},
        sources=belief.sources,
        released=belief.released,
        shutdown=stated.retires or (belief.shutdown if stated.remote else None),
        deprecated=stated.remote and belief.deprecated,
        embeds=kind == "embedding",
    )


def _expected(use_case: str, belief: _Belief, share: float, kind: str, table: Table) -> Expectation:
    ability = belief.ability
    factor = table.spreads.get(f"embedding {belief.basis}" if kind == "embedding" else belief.basis, 1.0)
    if (use_case == "embedding") != (kind == "embedding"):
        ability = OTHER_KIND
    mean, deviation = of_use_case(ability, use_case, table.axes)
    if belief.base and use_case != "embedding":
        mean += table.figures["base_shift"]
    deviation = math.hypot(deviation, table.noise.get(use_case, 0.0)) * factor
    curve = scale.CURVES[use_case]
    return Expectation(
        quality=share * curve.quality(mean), spread=scale.spread(curve, mean, deviation, belief.basis)
    )


def _seen(name: str, stated: Stated, table: Table) -> _Seen:
    spelled = recognition.spell(name)
    return _Seen(name, spelled, *_recognised(spelled, stated, table))


def _chat(stated: Stated, seen: Sequence[_Seen], table: Table) -> _Belief:
    for name, spelled, found, exact in seen:
        if found is not None:
            modes = table.modes(found)
            base = _is_base(name, stated.kind, modes)
            listed = _row_of(modes, base, spelled.thinking)
            if listed.ability is not None:
                return _of_row(listed, modes, base, spelled.thinking, exact=exact, table=table)
            if exact:
                return replace(
                    _unlisted(name, spelled, stated, table, listed), name=listed.name, **_dates(listed)
                )
    beliefs = [_unlisted(one.name, one.spelled, stated, table, None) for one in seen]
    return min(beliefs, key=lambda belief: _ORDER.index(belief.basis), default=_nothing(table, base=False))


_ORDER: Final[tuple[Basis, ...]] = ("model", "family", "tier", "size_and_date", "size", "nothing")


def _dates(row: Row) -> dict[str, Any]:
    return {"released": row.released, "shutdown": row.shutdown, "deprecated": row.deprecated}


def _recognised(spelled: Spelled, stated: Stated, table: Table) -> tuple[str | None, bool]:
    """Return the listed model, and whether it is the model itself (False: the original of this model)."""
    for key, left_out in recognition.relaxed(spelled):
        marked = table.spellings.get(f"{key} {recognition.TAG}") if spelled.tag else None
        name = _one(marked or table.spellings.get(key), stated, table)
        if name is not None and _same(table.modes(name), spelled, left_out):
            return name, True
    if not spelled.sizes and stated.parameters_b is not None:
        sized = _by_size(spelled, stated, table)
        if sized is not None:
            return sized, True
    for key in recognition.windows(spelled):
        name = _one(table.spellings.get(key), stated, table)
        if name is not None and any(row.ability is not None for row in table.modes(name).values()):
            return name, False
    return None, False


def _one(listed: str | None, stated: Stated, table: Table) -> str | None:
    """Return the only one of the *listed* names (`a|b`) that fits the size by the server, else None."""
    fitting = [name for name in (listed or "").split("|") if name and _fits(name, stated, table)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(name: str, stated: Stated, table: Table) -> bool:
    """Return whether the listed model *name* is possible, given what the server says about the weights.

    Servers may name a local model like a hosted one, for clients that use only such names. A file of weights cannot be
    one of those.
    """
    size = next((row.size_b for row in table.modes(name).values()), None)
    if size is None:
        return not (stated.weights and name.partition("-")[0] in _CLOSED)
    low, high = SAME_SIZE
    return stated.parameters_b is None or low <= stated.parameters_b / size <= high


def _by_size(spelled: Spelled, stated: Stated, table: Table) -> str | None:
    """Return the model of the family with the size by the server, for names without a size such as `qwen3:latest`."""
    named = {name for listed in table.bare.get(spelled.key, ()) for name in listed.split("|")}
    sized = [name for name in named if _has_size(name, stated, table)]
    return sized[0] if len(sized) == 1 else None


def _has_size(name: str, stated: Stated, table: Table) -> bool:
    size = next((row.size_b for row in table.modes(name).values()), None)
    return (
        size is not None and stated.parameters_b is not None and abs(stated.parameters_b / size - 1.0) <= 0.12
    )


def _same(modes: Mapping[Mode, Row], spelled: Spelled, left_out: frozenset[str]) -> bool:
    """Return whether a name without the words *left_out* means the same weights, possibly in another mode."""
    if left_out & recognition.THINKING and "thinking" not in modes:
        return False  # Phi-4-reasoning has other weights than Phi-4
    if left_out & recognition.UNTUNED and "embedding" in modes:
        return False  # a word for a size in embedding models
    if spelled.date not in left_out:
        return True
    released = next((row.released for row in modes.values() if row.released), None)
    day = _day(spelled.date)
    return released is not None and day is not None and abs(day - released) <= SAME_SNAPSHOT


def _day(written: str | None) -> date | None:
    try:
        return date.fromisoformat(f"{written[:4]}-{written[4:6]}-{written[6:]}") if written else None
    except ValueError:
        return None


def _is_base(name: str, kind: str, modes: Mapping[Mode, Row]) -> bool:
    """Return whether the weights are a base model, not tuned to answer."""
    parsed = names.parse(name)
    if (
        kind == "completion"
        or "base" in parsed.variant
        or recognition.UNTUNED & set(recognition.spell(name).words)
    ):
        return True
    if parsed.tuned or parsed.form != "repository":
        return False
    by_family = parsed.family is not None and parsed.family.repository == "base" and not parsed.unknown
    return by_family or any(row.bare_is_base for row in modes.values())


def _row_of(modes: Mapping[Mode, Row], base: bool, thinking: bool | None) -> Row:
    wanted: tuple[Mode, ...] = ("plain", "thinking", "base")
    if base:
        wanted = ("base", "plain", "thinking")
    elif thinking:
        wanted = ("thinking", "plain", "base")
    rows = [modes[mode] for mode in wanted if mode in modes] or list(modes.values())
    return next((row for row in rows if row.ability is not None), rows[0])


def _of_row(
    row: Row, modes: Mapping[Mode, Row], base: bool, thinking: bool | None, *, exact: bool, table: Table
) -> _Belief:
    """Return the belief about a listed model, or about the model that it was made from."""
    ability = row.ability or table.nothing
    other = modes.get("thinking") if row.mode == "plain" and thinking is None and not base else None
    if other is not None and other.ability is not None:
        ability = _between(ability, other.ability)
    if not exact:
        ability = replace(ability, deviation=math.hypot(ability.deviation, table.figures["fine_tune"]))
    return _Belief(
        basis="model" if exact else "family",
        name=row.name if exact else None,
        ability=ability,
        sources=row.sources,
        size_b=row.size_b,
        base=base,
        **(_dates(row) if exact else {"released": row.released}),
    )


def _between(plain: Ability, thinking: Ability) -> Ability:
    """Return the middle of both modes, because a listing does not show in which mode the model answers."""
    return Ability(
        mean=(plain.mean + thinking.mean) / 2,
        deviation=math.hypot(max(plain.deviation, thinking.deviation), (thinking.mean - plain.mean) / 2),
        axes={**thinking.axes, **plain.axes},
    )


def _unlisted(name: str, spelled: Spelled, stated: Stated, table: Table, row: Row | None) -> _Belief:
    """Return the belief about a model without a published score, by size, date, family or tier."""
    mode: Mode = "thinking" if spelled.thinking else "base" if _is_base(name, stated.kind, {}) else "plain"
    total, effective = _sizes(name, stated, row)
    when = _when(spelled, stated, row, table)
    by_version = _by_version(spelled, table) if when is None and not _borrowed(spelled, stated) else None
    if total is not None and effective is not None:
        family = _family(spelled, table)
        if by_version is not None and family is None:
            belief = _sized(effective, total, mode, by_version - DOUBT_YEARS, None, table)
            return replace(belief, ability=_doubted(belief.ability))
        return _sized(effective, total, mode, when, family, table)
    if stated.remote and not stated.weights and any(word in _HOSTED for word in spelled.words):
        return _of_tier(spelled, mode, when, by_version, table)
    belief = _nothing(table, base=mode == "base")
    if stated.hosted and not stated.weights:
        line = table.lines["tier:small" if tier(spelled.words) == "small" else "tier:mid"]
        mean = line.mean(None, year(table.until) - HOSTED_YEARS, mode)
        return replace(belief, ability=replace(belief.ability, mean=mean))
    return belief


def _sizes(name: str, stated: Stated, row: Row | None) -> tuple[float | None, float | None]:
    """Return the total parameters of a model, and its effective size for ability (billions); None if unknown.

    The server's count takes priority over the published size, and that over the name. The effective size of a mixture
    of experts is the geometric mean of total and active parameters.
    """
    parsed = names.parse(name)
    total = stated.parameters_b or (row.size_b if row else None) or (parsed.parameters or 0) / 1e9
    active = stated.active_b or (row.active_b if row else None) or (parsed.active_parameters or 0) / 1e9
    return total or None, (math.sqrt(total * active) if active else total) or None


def _of_tier(
    spelled: Spelled, mode: Mode, when: float | None, by_version: float | None, table: Table
) -> _Belief:
    """Return the belief by the tier word and the date (a year) of a hosted name; without a date, by its version."""
    line = table.lines[f"tier:{tier(spelled.words)}"]
    guessed = by_version if by_version is not None else _newest(spelled, table) - DOUBT_YEARS
    ability = Ability(mean=line.mean(None, when or guessed, mode), deviation=line.deviation)
    return _Belief(
        basis="tier",
        ability=ability if when is not None else _doubted(ability),
        sources=(f"tier words and dates of {table.figures['models tier']:.0f} hosted models",),
    )


def _borrowed(spelled: Spelled, stated: Stated) -> bool:
    """Return whether a file of weights has the name of a model whose weights were never published."""
    return stated.weights and any(word in _CLOSED for word in spelled.words)


def _doubted(ability: Ability) -> Ability:
    """Return *ability* with more deviation: its date comes from a version number, which any name can claim."""
    return replace(ability, deviation=math.hypot(ability.deviation, DOUBT))


def _sized(
    effective: float, total: float, mode: Mode, when: float | None, family: FamilyRow | None, table: Table
) -> _Belief:
    basis: Basis = "size" if when is None else "size_and_date"
    line = table.lines[basis]
    mean, deviation = line.mean(effective, when, mode), line.deviation
    if family is not None:
        basis, line = "family", table.lines["size_and_date"]
        mean = line.mean(effective, when if when is not None else family.released, mode) + family.effect
        deviation = family.deviation
    counted = table.figures["models size" if basis == "size" else "models size_and_date"]
    by = {"size": "sizes", "size_and_date": "sizes and dates"}.get(basis, "sizes, dates and families")
    return _Belief(
        basis=basis,
        ability=Ability(mean=mean, deviation=deviation),
        sources=(f"{by} of {counted:.0f} models",),
        size_b=total,
        base=mode == "base",
    )


def _nothing(table: Table, *, base: bool) -> _Belief:
    return _Belief(basis="nothing", ability=table.nothing, base=base)


def _family(spelled: Spelled, table: Table) -> FamilyRow | None:
    """Return the family that the longest matching part of the name spells, or None."""
    words = [word for word in spelled.words if word not in spelled.sizes][: recognition.MAX_WORDS]
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            part = words[start : start + length]
            found = table.families.get(recognition.key(part))
            another = words[start + length : start + length + 1]  # the family Qwen does not cover Qwen 4
            if found is None or (another and _GENERATION.fullmatch(another[0])):
                continue
            if any(len(word) > 1 and word.isalpha() for word in part):
                return found
    return None


def _when(spelled: Spelled, stated: Stated, row: Row | None, table: Table) -> float | None:
    """Return the release of the model (year) if known, at most that of the newest fact; else None."""
    day = (row.released if row else None) or _day(spelled.date)
    if day is not None:
        return min(year(day), year(table.until))
    month = _month(spelled)
    if month is not None:
        return min(month, year(table.until))
    if stated.cutoff and (match := re.match(r"(20\d\d)(?:-(\d\d))?", stated.cutoff)):
        months = int(match[2] or 7)
        return min(int(match[1]) + (months - 0.5) / 12 + CUTOFF_TO_RELEASE, year(table.until))
    return None


def _month(spelled: Spelled) -> float | None:
    """Return the middle of the month in a hosted name (`202412` or `2412`) as a year; None without exactly one."""
    if not any(word in _HOSTED for word in spelled.words):
        return None
    months = [match for word in spelled.words if (match := _MONTH.fullmatch(word))]
    return 2000 + int(months[0][1]) + (int(months[0][2]) - 0.5) / 12 if len(months) == 1 else None


def _by_version(spelled: Spelled, table: Table) -> float | None:
    """Return the release (year) of the vendor's newest listed model with at most this version, or None.

    A version above all listed ones counts as the date of the newest fact.
    """
    vendor = next((word for word in spelled.words if word in _HOSTED or word in _OPEN), None)
    releases = _releases(vendor, table) if vendor is not None else ()
    version = _version(spelled)
    if version is None or not releases:
        return None
    below = [when for known, when in releases if known <= version]
    if version > releases[-1][0]:
        return year(table.until)
    return max(below) if below else min(when for _, when in releases)


def _newest(spelled: Spelled, table: Table) -> float:
    """Return the release (year) of the vendor's newest listed model; without one, a year before the newest fact."""
    releases = _releases(next(word for word in spelled.words if word in _HOSTED), table)
    return max((when for _, when in releases), default=year(table.until) - 1.0)


@lru_cache(maxsize=64)
def _releases(vendor: str, table: Table) -> tuple[tuple[float, float], ...]:
    """Return (version, release year) of each listed model of *vendor*, sorted."""
    found = []
    for name in table.rows:
        if name.startswith(vendor):
            version = _version(recognition.spell(name))
            released = next((row.released for row in table.modes(name).values()), None)
            if version is not None and released is not None:
                found.append((version, year(released)))
    return tuple(sorted(found))


def _version(spelled: Spelled) -> float | None:
    words = (word for word in spelled.words if word not in spelled.sizes)
    return next((float(match[1]) for word in words if (match := _VERSION.fullmatch(word))), None)


def _kind(stated: Stated, seen: Sequence[_Seen], table: Table) -> str:
    """Return "embedding" or another kind: by the listing, else by published facts."""
    if stated.kind in ("embedding", "completion"):
        return stated.kind
    for one in seen:
        if one.found is not None:
            return "embedding" if set(table.modes(one.found)) == {"embedding"} else "chat"
    embeds = stated.kind == "unknown" and any(_EMBEDS.search(name.lower()) for name in stated.names)
    return "embedding" if embeds else "chat"


def _embedding(stated: Stated, seen: Sequence[_Seen], table: Table) -> _Belief:
    for one in seen:
        row = table.modes(one.found).get("embedding") if one.found is not None else None
        if row is not None and row.ability is not None:
            return _of_row(row, {}, base=False, thinking=None, exact=one.exact, table=table)
    parsed = [names.parse(one.name) for one in seen]
    size = stated.parameters_b or next((one.parameters / 1e9 for one in parsed if one.parameters), None)
    dates = [_when(one.spelled, stated, None, table) for one in seen]
    when = next((date for date in dates if date is not None), None)
    basis: Basis = "nothing" if size is None else "size" if when is None else "size_and_date"
    line = table.lines[f"embedding {basis}"]
    return _Belief(
        basis=basis,
        ability=Ability(mean=line.mean(size, when, "plain"), deviation=line.deviation),
        size_b=size,
    )
