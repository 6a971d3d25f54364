"""One fact to find in a paragraph with similar facts."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from random import Random

from msgspec import Struct

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import choice
from vedette_benchmarker.suites.rounds import Maker, of, rounds
from vedette_benchmarker.suites.words import MONTHS, NAMES, NOUNS, SURNAMES, TOWNS


class _Case(Struct, frozen=True, kw_only=True):
    """A paragraph, and for each fact in it: the question, the right answer, and similar facts."""

    paragraph: str
    questions: tuple[tuple[str, str, tuple[str, ...]], ...]


def _spelt(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def _spellings(day: date) -> tuple[str, ...]:
    month = MONTHS[day.month - 1]
    return (
        _spelt(day),
        f"{month} {day.day}, {day.year}",
        f"{month} {day.day} {day.year}",
        day.isoformat(),
        f"{day:%d %B %Y}",
    )


def _code(rng: Random) -> str:
    return f"{rng.choice('ABCDEFGHKLMNPRSTUVWXYZ')}{rng.choice('ABCDEFGHKLMNPRSTUVWXYZ')}-{rng.randint(1000, 9999)}"


def _note(rng: Random) -> _Case:
    """One fact of each kind, so that the kind alone decides."""
    name, town = f"{rng.choice(NAMES)} {rng.choice(SURNAMES)}", rng.choice(TOWNS)
    code, thing = _code(rng), rng.choice(NOUNS)
    guest = f"{rng.choice(NAMES)} {rng.choice(SURNAMES)}"
    while guest == name:
        guest = f"{rng.choice(NAMES)} {rng.choice(SURNAMES)}"
    paragraph = (
        f"The parcel with the number {code} was sent from {town}. Its sender is {name}, and it is meant for "
        f"{guest}, who had ordered a {thing}."
    )
    return _Case(
        paragraph=paragraph,
        questions=(
            ("What is the number of the parcel?", code, (name, guest, town, thing)),
            ("Who is the sender? Give the full name.", name, (guest, town, code)),
            ("Who is the parcel meant for? Give the full name.", guest, (name, town, code)),
        ),
    )


def _invoice(rng: Random) -> _Case:
    """Two facts of each kind."""
    seller, buyer = (
        f"{one} {other}" for one, other in zip(rng.sample(NAMES, 2), rng.sample(SURNAMES, 2), strict=True)
    )
    ordered = date(2019, 1, 1) + timedelta(days=rng.randrange(2000))
    sent, due = ordered + timedelta(days=rng.randint(2, 25)), ordered + timedelta(days=rng.randint(40, 90))
    net, fee = rng.sample(range(1100, 9900), 2)
    total = net + fee
    invoice, customer = _code(rng), _code(rng)
    while customer == invoice:
        customer = _code(rng)
    paragraph = (
        f"{buyer} (customer number {customer}) placed an order with {seller} on {_spelt(ordered)}. The goods cost "
        f"{net:,} euros, and {fee:,} euros were added for the freight, which makes {total:,} euros in all. Invoice "
        f"{invoice} was sent on {_spelt(sent)}; it has to be paid by {_spelt(due)}."
    )
    amounts, days = (net, fee, total), (ordered, sent, due)

    def amount(asked: str, right: int) -> tuple[str, str, tuple[str, ...]]:
        others = [value for value in amounts if value != right]
        return asked, f"{right:,}", tuple(text for value in others for text in (f"{value:,}", str(value)))

    def day(asked: str, right: date) -> tuple[str, str, tuple[str, ...]]:
        return asked, _spelt(right), tuple(text for one in days if one != right for text in _spellings(one))

    return _Case(
        paragraph=paragraph,
        questions=(
            ("Who sold the goods? Give the full name.", seller, (buyer,)),
            ("Who bought the goods? Give the full name.", buyer, (seller,)),
            ("What is the number of the invoice?", invoice, (customer,)),
            ("What is the customer number?", customer, (invoice,)),
            amount("How many euros did the freight cost?", fee),
            amount("How many euros have to be paid in all?", total),
            day("On which date was the order placed?", ordered),
            day("On which date was the invoice sent?", sent),
            day("By which date must the invoice be paid?", due),
        ),
    )


def _minutes(rng: Random) -> _Case:
    """Four people and four tasks, not in order; one task is handed on."""
    people = [
        f"{one} {other}" for one, other in zip(rng.sample(NAMES, 4), rng.sample(SURNAMES, 4), strict=True)
    ]
    projects = [f"{noun} project" for noun in rng.sample(NOUNS, 4)]
    codes = [_code(rng) for _ in projects]
    while len(set(codes)) < len(codes):
        codes = [_code(rng) for _ in projects]
    sentences = [
        f"The {project} (file {code}) is run by {who}."
        for project, code, who in zip(projects[:3], codes[:3], people[:3], strict=True)
    ]
    rng.shuffle(sentences)
    sentences.append(
        f"Until last year {people[0]} also ran the {projects[3]} (file {codes[3]}), but it has since been handed on to "
        f"{people[3]}."
    )
    others = {who: tuple(one for one in people if one != who) for who in people}
    asked = [
        (f"Who runs the {project} now? Give the full name.", who, others[who])
        for project, who in zip(projects, people, strict=True)
    ]
    asked += [
        (f"What is the file of the {project}?", code, tuple(one for one in codes if one != code))
        for project, code in zip(projects, codes, strict=True)
    ]
    return _Case(paragraph=" ".join(sentences), questions=tuple(asked))


def _handed_on(count: int, changes: int) -> Callable[[Random], _Case]:
    """Return cases of *count* tasks that change hands *changes* times, with people named by their roles."""

    def draw(rng: Random) -> _Case:
        people = [
            f"{one} {other}"
            for one, other in zip(rng.sample(NAMES, count), rng.sample(SURNAMES, count), strict=True)
        ]
        projects = [f"{noun} project" for noun in rng.sample(NOUNS, count)]
        runs = dict(zip(projects, people, strict=True))
        first = dict(runs)
        sentences = [f"In January the {project} was run by {who}." for project, who in runs.items()]
        rng.shuffle(sentences)
        for month in MONTHS[1 : changes + 1]:
            one, other = rng.sample(projects, 2)
            runs[one], runs[other] = runs[other], runs[one]
            if rng.random() < 0.5:
                sentences.append(f"In {month} {runs[other]} and {runs[one]} exchanged their projects.")
            else:
                sentences.append(
                    f"In {month} those who ran the {one} and the {other} exchanged their projects."
                )
        held = {who: project for project, who in runs.items()}
        others = {who: tuple(one for one in people if one != who) for who in people}
        asked = [
            (f"Who ran the {project} at the end? Give the full name.", who, others[who])
            for project, who in runs.items()
            if first[project] != who
        ]
        asked += [
            (
                f"Which project did {who} run at the end?",
                project,
                tuple(one for one in projects if one != project),
            )
            for who, project in held.items()
            if first[project] != who
        ]
        return _Case(paragraph=" ".join(sentences), questions=tuple(asked)) if asked else draw(rng)

    return draw


def _maker(draw: Callable[[Random], _Case]) -> Maker:
    def make(rng: Random) -> Item:
        case = draw(rng)
        asked, right, wrong = rng.choice(case.questions)
        return Item(
            prompt=f"{case.paragraph}\n\n{asked} Answer with that only.",
            check=choice(_names(right), wrong),
            truth=right,
            max_tokens=48,
        )

    return make


def _names(right: str) -> tuple[str, ...]:
    """Return the allowed spellings of *right*: amounts without commas, dates in other orders."""
    day, _, rest = right.partition(" ")
    month, _, year = rest.partition(" ")
    if month in MONTHS and year.isdigit():
        return _spellings(date(int(year), MONTHS.index(month) + 1, int(day)))
    return (right, right.replace(",", ""))


_MAKERS = tuple(map(_maker, (_note, _invoice, _minutes)))


def items(rng: Random) -> Iterator[Item]:
    """Yield paragraphs of two, four and five sentences, with questions."""
    return rounds(rng, _MAKERS)


SUITE = Suite(
    kind="extraction",
    version=2,
    items=items,
    levels=(
        ("easy", of(_maker(_note))),
        ("hard", of(_maker(_handed_on(5, 3)), _maker(_handed_on(6, 4)))),
        ("hardest", of(_maker(_handed_on(8, 9)))),
    ),
)
