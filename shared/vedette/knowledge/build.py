"""Makes the tables of this package from published facts: `python -m vedette.knowledge.build DIRECTORY`.

DIRECTORY has `scores.csv`, `names.csv` and `quantisation.csv`; docs/knowledge.md describes them. The same input gives
identical tables.
"""

import csv
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from vedette.knowledge import names, recognition, table
from vedette.knowledge.abilities import (
    AXES,
    GENERAL,
    MODES,
    Ability,
    Fact,
    Mode,
    beyond,
    board,
    counts,
    heaviest,
    mode_of,
)
from vedette.knowledge.fitting import Fit, Subject, fit
from vedette.knowledge.knowing import of_name
from vedette.knowledge.lines import year
from vedette.knowledge.quantised import BITS, SIZES, size_class
from vedette.knowledge.table import Table
from vedette.knowledge.validating import Miss, Validated, noise, validate

INPUTS: Final = ("scores.csv", "names.csv", "quantisation.csv")
_OF_DATES: Final = "models-dev"  # the source named for dates if several sources agree
_RESTRICTED: Final = "artificial-analysis"  # its terms restrict reuse
# Only the vendor may state the end of its service.
_FIRST_PARTY: Final = frozenset(
    """
    openai litellm:openai anthropic litellm:anthropic google litellm:gemini xai litellm:xai mistral litellm:mistral
    cohere litellm:cohere_chat deepseek litellm:deepseek moonshotai minimax zhipuai alibaba
    """.split()  # noqa: SIM905
)
MIN_SERVICE_DAYS: Final = 240  # an earlier shutdown is that of a preview with the same name
MIN_FACTS_OF_LOSS: Final = 2  # published comparisons that their mean needs

Rows = Sequence[Mapping[str, str]]


class Fitted(NamedTuple):
    """The chat models or the embedding models, their fit, and the prefix of its figures in the table."""

    fit: Fit
    subjects: Sequence[Subject]
    prefix: str


class Known(Struct, frozen=True, kw_only=True):
    """The input about one model, except for its scores."""

    family: str = ""
    size_b: str = ""
    active_b: str = ""
    released: str = ""
    shutdown: str = ""
    bare_is_base: bool = False


def build(scores: Rows, spelled: Rows, quantised: Rows) -> tuple[dict[str, str], list[Validated]]:
    """Return the text of each table by file name, and the errors of the expectations."""
    known = _models(scores, spelled)
    subjects = list(_subjects(scores, known))
    chat = [subject for subject in subjects if subject.mode != "embedding"]
    embedding = [subject for subject in subjects if subject.mode == "embedding"]
    fits = [Fitted(fit(of), of, prefix) for of, prefix in ((chat, ""), (embedding, "embedding ")) if of]
    validated = [result for one in fits for result in validate(one.subjects, one.fit, prefix=one.prefix)]
    spellings = _spellings(spelled, known, {subject.name for subject in subjects})
    newest = max(_day(row["date"]) for row in scores if row["date"])
    latest = _latest(scores)
    texts = {
        table.MODELS: _models_text(known, fits, latest),
        table.SPELLINGS: table.written(("key", "names"), sorted(spellings.items())),
        table.FAMILIES: _families_text(fits[0].fit, chat),
        table.BENCHMARKS: _benchmarks_text(scores, [one.fit for one in fits]),
        table.PRIORS: _priors_text(fits, chat, spellings, validated, newest),
        table.QUANTISATION: _quantisation_text(quantised),
    }
    sources = _sources(scores, spelled)
    texts[table.FACTS] = _facts_text(scores, known, spelled, sources)
    texts[table.SOURCES] = _sources_text(scores, spelled, sources)
    return texts, validated


def _models(scores: Rows, spelled: Rows) -> dict[str, Known]:
    """Return the input about each model, except for scores, by name."""
    said: dict[str, dict[str, str]] = defaultdict(dict)
    bare: dict[str, set[str]] = defaultdict(set)
    for row in scores:
        for field, column in (
            ("family", "family"),
            ("size_b", "size_b_total"),
            ("active_b", "size_b_active"),
            ("released", "release_date"),
        ):
            if row[column]:
                said[row["model"]].setdefault(field, row[column])
        if "/" in row["spelling"] and not names.parse(row["spelling"]).tuned:
            bare[row["model"]].add(row["tuning"])
    ends: dict[str, list[str]] = defaultdict(list)
    for row in spelled:
        name = said[row["canonical"]]
        if row["release_date"]:
            name.setdefault("released", row["release_date"])
        if row["shutdown_or_deprecation"] and row["system"] in _FIRST_PARTY:
            ends[row["canonical"]].append(row["shutdown_or_deprecation"])
    return {
        name: Known(
            **fields,
            # Published weights outlive the service of their vendor.
            shutdown="" if "size_b" in fields else _shutdown(ends[name], fields.get("released", "")),
            bare_is_base=bare[name] == {"base"},
        )
        for name, fields in sorted(said.items())
        if "," not in name
    }


def _shutdown(notices: Sequence[str], released: str) -> str:
    """Return the latest shutdown day that the vendor names, or a mark that it announced the end without a day."""
    days = [found[0] for text in notices if (found := re.search(r"\d{4}-\d\d-\d\d", text))]
    late = [day for day in days if not released or (_day(day) - _day(released)).days >= MIN_SERVICE_DAYS]
    if late:
        return max(late)
    return "deprecated" if notices and not days else ""


def _day(text: str) -> date:
    parts = [int(part) for part in text.split("-")]
    return date(*[*parts, 1, 1][:3])


def _year(text: str) -> float | None:
    """Return the year as a fraction; for a month, its middle."""
    if not text:
        return None
    return year(_day(text)) + (0.5 / 12 if text.count("-") == 1 else 0.0)


def _effective(known: Known) -> float | None:
    total = float(known.size_b) if known.size_b else None
    return math.sqrt(total * float(known.active_b)) if total and known.active_b else total


def _subjects(scores: Rows, known: Mapping[str, Known]) -> Iterator[Subject]:
    """Yield each model in each mode, with its best score on each benchmark."""
    best: dict[tuple[str, Mode], dict[str, tuple[float, str]]] = defaultdict(dict)
    for row in scores:
        if not counts(row["effort"]) or row["model"] not in known:
            continue
        held = best[row["model"], mode_of(row["tuning"])]
        score = float(row["score"])
        if row["benchmark"] not in held or score > held[row["benchmark"]][0]:
            held[row["benchmark"]] = (score, row["use_case"])
    for (name, mode), facts in sorted(best.items()):
        yield Subject(
            name=name,
            mode=mode,
            family=known[name].family,
            size_b=_effective(known[name]),
            year=_year(known[name].released),
            facts=tuple((Fact(benchmark, score), use) for benchmark, (score, use) in sorted(facts.items())),
        )


def _spellings(spelled: Rows, known: Mapping[str, Known], scored: set[str]) -> dict[str, str]:
    """Return the models of each key. If two cannot be distinguished, both are kept."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for row in spelled:
        if row["canonical"] in known:
            vote = 1 if "llmfit" in row["system"] else 10
            votes[recognition.spell(row["spelling"]).key][row["canonical"]] += vote
    for name in known:
        votes[recognition.spell(name).key][name] += 5
    found = {spelling: "|".join(_elected(spelling, counted, scored)) for spelling, counted in votes.items()}
    for row in spelled:
        written = recognition.spell(row["spelling"])
        if row["system"] == "ollama" and row["canonical"] in known and found[written.key] != row["canonical"]:
            found[f"{written.key} {recognition.TAG}"] = row["canonical"]
    return found


class Recognised(Struct, frozen=True, kw_only=True):
    """The results of recognising spellings that were left out of the index."""

    right: int
    disagreed: int  # recognised as a model to which another source gives the same words
    not_recognised: int
    wrong: int


def recognise(spelled: Rows, scored: set[str], full: Table) -> Recognised:
    """Return how well spellings are recognised that are not in the index: each one is left out in turn."""
    spelled = [row for row in spelled if row["canonical"] in full.rows]
    votes: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for row in spelled:
        votes[recognition.spell(row["spelling"]).key][row["spelling"].lower()][row["canonical"]] += 10
    own: dict[str, list[str]] = defaultdict(list)
    for name in full.rows:
        own[recognition.spell(name).key].append(name)
    ends: Counter[str] = Counter()
    for spelling, canonical in sorted({(row["spelling"].lower(), row["canonical"]) for row in spelled}):
        key = recognition.spell(spelling).key
        others: Counter[str] = Counter()
        for text, counted in votes[key].items():
            if text != spelling:
                others.update(counted)
        listed = set(others)
        others.update(dict.fromkeys(own[key], 5))
        without = {**full.spellings, key: "|".join(_elected(key, others, scored)) if others else ""}
        without.pop(f"{key} {recognition.TAG}", None)
        found = of_name(spelling, replace(full, spellings=without)).name
        ends[_end(found, canonical, listed)] += 1
    return Recognised(**{end: ends[end] for end in Recognised.__struct_fields__})


def _end(found: str | None, canonical: str, listed: set[str]) -> str:
    if found is None:
        return "not_recognised"
    if found == canonical or recognition.spell(found).key == recognition.spell(canonical).key:
        return "right"
    return "disagreed" if found in listed else "wrong"


def _elected(spelling: str, counted: Counter[str], scored: set[str]) -> list[str]:
    if len(counted) == 1:
        return list(counted)
    own = [name for name in counted if recognition.spell(name).key == spelling and name in scored]
    if len(own) == 1:
        return own
    (first, most), *others = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    if most >= 2 * others[0][1]:
        return [first]
    return sorted(name for name in counted if name in scored) or sorted(counted)


def _models_text(
    known: Mapping[str, Known], fits: Sequence[Fitted], latest: Mapping[str, Mapping[str, str]]
) -> str:
    rows = []
    facts = {(subject.name, subject.mode): subject for one in fits for subject in one.subjects}
    abilities = {key: (one.fit, ability) for one in fits for key, ability in one.fit.abilities.items()}
    for name, entry in known.items():
        modes = [mode for mode in MODES if (name, mode) in abilities]
        meant = name if modes else _newest_snapshot(name, known, abilities)
        for mode in modes or ["plain"]:
            subject = facts.get((meant, mode))
            one, ability = abilities.get((meant, mode), (None, None))
            rows.append(
                table.cells_of(
                    name=name,
                    mode=mode,
                    family=entry.family,
                    size_b=entry.size_b,
                    active_b=entry.active_b,
                    released=entry.released,
                    shutdown=entry.shutdown,
                    bare_is_base=entry.bare_is_base,
                    facts=len(subject.facts) if subject else 0,
                    ability=ability,
                    sources=heaviest(subject.plain_facts, one.links, latest[meant])
                    if subject and one
                    else (),
                )
            )
    return table.written(table.COLUMNS, rows)


def _newest_snapshot(
    name: str, known: Mapping[str, Known], abilities: Mapping[tuple[str, Mode], tuple[Fit, Ability]]
) -> str:
    """Return the newest dated snapshot of *name*, which the undated name stands for; without one, *name*."""
    dated = re.compile(rf"{re.escape(name)}[-@](?:20\d\d-\d\d(?:-\d\d)?|\d{{4}}|\d\d-\d\d)")
    snapshots = [other for other in known if dated.fullmatch(other) and (other, "plain") in abilities]
    return max(snapshots, key=lambda other: (known[other].released, other), default=name)


def _latest(scores: Rows) -> dict[str, dict[str, str]]:
    """Return the month of the newest fact of each model on each board."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for row in scores:
        newest, name = found[row["model"]], board(row["benchmark"])
        newest[name] = max(newest.get(name, ""), row["date"][:7])
    return found


def _families_text(fitted: Fit, subjects: Sequence[Subject]) -> str:
    released: dict[str, list[float]] = defaultdict(list)
    for subject in subjects:
        if subject.year is not None:
            released[subject.family].append(subject.year)
    by_key: dict[str, list[str]] = {}
    for family, (effect, deviation, count) in sorted(fitted.families.items(), key=lambda pair: pair[1][2]):
        key = recognition.spell(family).key
        by_key[key] = [key, f"{effect:.3f}", f"{deviation:.3f}", str(count), f"{max(released[family]):.2f}"]
    return table.written(("family", "effect", "deviation", "models", "released"), sorted(by_key.values()))


def _benchmarks_text(scores: Rows, fits: Iterable[Fit]) -> str:
    links = {name: link for one in fits for name, link in one.links.items()}
    counted = Counter(row["benchmark"] for row in scores)
    use_cases = {row["benchmark"]: row["use_case"] for row in scores}
    rows = []
    for name in sorted(counted):
        link = links.get(name)
        fitted = (
            [f"{value:.4f}" for value in (link.intercept, link.slope, link.deviation)] if link else [""] * 3
        )
        axis = AXES.get(use_cases[name], GENERAL)
        rows.append([name, use_cases[name], axis, board(name), *fitted, str(counted[name])])
    columns = ("benchmark", "use_case", "axis", "board", "intercept", "slope", "deviation", "facts")
    return table.written(columns, rows)


def _priors_text(
    fits: Sequence[Fitted],
    chat: Sequence[Subject],
    spellings: Mapping[str, str],
    validated: Sequence[Validated],
    newest: date,
) -> str:
    figures: dict[str, float] = {"until": newest.toordinal()}
    for one, _, prefix in fits:
        for basis, line in sorted(one.lines.items()):
            for field in ("intercept", "deviation", "per_doubling", "per_year", "thinking", "base"):
                figures[f"line {prefix}{basis} {field}"] = getattr(line, field)
        for axis, deviation in sorted(one.axes.items()):
            figures[f"axis {axis}"] = deviation
        for use_case, spread in noise(one.links).items():
            if (use_case == "embedding") == bool(prefix):
                figures[f"noise {use_case}"] = spread
    for result in validated:
        figures[f"spread {result.basis}"] = result.factor
    figures["models size_and_date"] = sum(s.size_b is not None and s.year is not None for s in chat)
    figures["models size"] = sum(s.size_b is not None for s in chat)
    figures["models tier"] = sum(s.size_b is None and s.year is not None for s in chat)
    figures["fine_tune"] = _fine_tune(fits[0].fit, chat, spellings)
    figures["base_shift"] = _base_shift(fits[0].fit, chat)
    return table.written(("figure", "value"), [(name, f"{value:.6g}") for name, value in figures.items()])


def _fine_tune(fitted: Fit, chat: Sequence[Subject], spellings: Mapping[str, str]) -> float:
    """Return how much fine-tuned models differ in ability from their base models (root mean square)."""
    apart = []
    for subject in chat:
        if subject.mode != "plain":
            continue
        for key in recognition.windows(recognition.spell(subject.name)):
            origin = fitted.abilities.get((spellings.get(key, ""), "plain"))
            if origin is not None and spellings[key] != subject.name:
                apart.append(fitted.abilities[subject.name, "plain"].mean - origin.mean)
                break
    return math.sqrt(sum(left * left for left in apart) / len(apart)) if apart else 0.4


def _base_shift(fitted: Fit, chat: Sequence[Subject]) -> float:
    """Return the loss of base models when they must answer: their deficit in following instructions (IFEval)."""
    link = fitted.links.get("OLLv2 IFEval")
    by_mode = {
        (subject.name, subject.mode): fact.score
        for subject in chat
        for fact in subject.plain_facts
        if link is not None and fact.benchmark == link.benchmark
    }
    lacks = [
        beyond(link, by_mode[name, "base"], fitted.abilities[name, "base"].mean)
        - beyond(link, by_mode[name, "plain"], fitted.abilities[name, "plain"].mean)
        for name, mode in by_mode
        if link is not None and mode == "base" and (name, "plain") in by_mode
    ]
    return min(0.0, sum(lacks) / len(lacks)) if lacks else 0.0


def _quantisation_text(quantised: Rows) -> str:
    """Return the loss by bits and size: means of published comparisons, not lower for fewer bits or a smaller model."""
    by_size: dict[tuple[int, str], list[float]] = defaultdict(list)
    for row in quantised:
        match = re.search(r"[qQ](\d)_|[iI]nt(\d)|INT(\d)|(\d)[- ]?bit|FP(8)", row["quantisation"])
        if match and row["size_b"] and row["recovery_pct"]:
            count = int(next(group for group in match.groups() if group))
            by_size[count, size_class(float(row["size_b"]))].append(1.0 - float(row["recovery_pct"]) / 100.0)
    means = {
        key: max(0.0, sum(losses) / len(losses))
        for key, losses in by_size.items()
        if len(losses) >= MIN_FACTS_OF_LOSS
    }
    losses: dict[tuple[int, str], float] = {}
    for size in reversed(SIZES):
        for bits in BITS:
            larger = losses.get((bits, SIZES[SIZES.index(size) + 1]), 0.0) if size != "large" else 0.0
            losses[bits, size] = max(larger, _loss(bits, size, means), losses.get((_more(bits), size), 0.0))
    rows = [
        (str(bits), size, f"{losses[bits, size]:.4f}", str(len(by_size.get((bits, size), ()))))
        for size in SIZES
        for bits in BITS
    ]
    return table.written(("bits", "size", "loss", "facts"), rows)


def _more(bits: int) -> int:
    return BITS[BITS.index(bits) - 1] if bits != BITS[0] else -1


def _loss(bits: int, size: str, means: Mapping[tuple[int, str], float]) -> float:
    """Return the published mean; else interpolated between 8 and 4 bits, or scaled from the middle size."""
    found = means.get((bits, size))
    if found is not None:
        return found
    eight, four = means.get((8, size), 0.0), means.get((4, size), 0.02)
    if bits in (5, 6):
        return eight + (four - eight) * {6: 0.2, 5: 0.5}[bits]
    if bits == 1:
        return 0.5
    middle = means.get((4, "middle"), 0.02) or 0.02
    return min(0.5, means.get((bits, "middle"), 0.1) * four / middle)


def _sources(scores: Rows, spelled: Rows) -> dict[str, str]:
    """Return a short id for each source: the name of its repository, with a number if several commits are used."""
    counted: Counter[str] = Counter()
    ids = {}
    for stamp in sorted({_state(row["source"]) for row in (*scores, *spelled) if row["source"]}):
        short = re.sub(
            r"[^a-z0-9]+", "-", stamp.partition("@")[0].rstrip("/").rpartition("/")[2].lower()
        ).strip("-")
        counted[short] += 1
        ids[stamp] = short if counted[short] == 1 else f"{short}-{counted[short]}"
    return ids


def _state(stamp: str) -> str:
    """Return repository and commit, without the path of the file."""
    if "://" in stamp:
        return stamp.partition(" ")[0]
    where, at, commit = stamp.rpartition("@")
    return f"{where.partition(':')[0]}{at}{commit.partition(' ')[0]}" if at else stamp


def _facts_text(scores: Rows, known: Mapping[str, Known], spelled: Rows, sources: Mapping[str, str]) -> str:
    rows = {
        (
            row["model"],
            row["tuning"] + (f" {row['effort']}" if row["effort"] else ""),
            row["benchmark"],
            f"{float(row['score']):g}",
            row["date"],
            sources[_state(row["source"])],
        )
        for row in scores
        if row["model"] in known
    }
    dated: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row in spelled:
        name = row["canonical"]
        if name in known and row["source"]:
            source = sources[_state(row["source"])]
            if row["release_date"] and row["release_date"] == known[name].released:
                dated[name, "released", row["release_date"]].add(source)
            if row["shutdown_or_deprecation"] and row["system"] in _FIRST_PARTY:
                dated[name, "shutdown", row["shutdown_or_deprecation"]].add(source)
    for (name, fact, day), found_in in dated.items():
        rows.add((name, "", fact, day, "", min(found_in, key=lambda source: (source != _OF_DATES, source))))
    return table.written(table.FACT_COLUMNS, sorted(rows))


def _sources_text(scores: Rows, spelled: Rows, sources: Mapping[str, str]) -> str:
    dates: dict[str, list[str]] = defaultdict(list)
    licences: dict[str, str] = {}
    where: dict[str, str] = {}
    for row in (*scores, *spelled):
        if row["source"]:
            source = sources[_state(row["source"])]
            where.setdefault(source, _state(row["source"]))
            if row.get("date"):
                dates[source].append(row["date"])
            licences.setdefault(source, "")
            stated = row.get("licence") or (re.search(r"\(([A-Z][^()]*)\)$", row["source"]) or ["", ""])[1]
            licences[source] = licences[source] or stated
    rows = [
        (
            source,
            where[source],
            licences[source] or "facts only; see docs/knowledge.md",
            max(dates[source], default=""),
        )
        for source in sorted(where)
    ]
    return table.written(("source", "where", "licence", "newest"), rows)


def rows_of(directory: Path) -> tuple[Rows, Rows, Rows]:
    """Return the three inputs in *directory*, without sources whose terms restrict reuse."""
    read = []
    for name in INPUTS:
        with (directory / name).open(encoding="utf-8", newline="") as file:
            read.append(list(csv.DictReader(file)))
    scores, spelled, quantised = read
    return scores, [row for row in spelled if _RESTRICTED not in row["source"]], quantised


def report(validated: Sequence[Validated]) -> str:
    """Return the tables of docs/knowledge.md: errors of expectations, by basis and by use case."""
    lines = [
        "| basis | scores | within 1 spread | within 2 | mean error, points of quality | spread multiplied by |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.basis} | {len(one.misses):,} | {one.within(1):.0%} | {one.within(2):.0%} | {one.points:.1f} "
        f"| {one.factor:.2f} |"
        for one in validated
    ]
    by_use_case: dict[str, list[Miss]] = defaultdict(list)
    for one in validated:
        if one.basis.removeprefix("embedding ") == "model":
            for miss in one.misses:
                by_use_case[miss.use_case].append(miss)
    lines += ["", "| use case, of `model` | scores | mean error, points of quality |", "|---|---|---|"]
    lines += [
        f"| {use_case} | {len(misses):,} | {sum(miss.points for miss in misses) / len(misses):.1f} |"
        for use_case, misses in sorted(by_use_case.items())
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Write the tables, and print the errors of the expectations."""
    if len(arguments) not in (1, 2):
        sys.stderr.write("usage: python -m vedette.knowledge.build DIRECTORY [OUTPUT]\n")
        return 2
    directory = Path(arguments[0])
    output = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).parent / "data"
    if missing := [name for name in INPUTS if not (directory / name).is_file()]:
        sys.stderr.write(f"error: cannot build from {directory}: it has no {', '.join(missing)}\n")
        return 2
    inputs = rows_of(directory)
    texts, validated = build(*inputs)
    output.mkdir(parents=True, exist_ok=True)
    for name, text in sorted(texts.items()):
        (output / name).write_text(text, encoding="utf-8")
    sys.stdout.write(report(validated) + "\n")
    scored = {row["model"] for row in inputs[0]}
    ends = recognise(inputs[1], scored, table.parse(texts))
    every = sum(getattr(ends, end) for end in ends.__struct_fields__)
    sys.stdout.write(
        f"\n{every:,} spellings, each left out in turn: {ends.right:,} recognised; {ends.disagreed} as a model for"
        f" which another source lists the same words; {ends.not_recognised} not recognised; {ends.wrong} wrong\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
