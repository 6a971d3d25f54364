"""Instructions that can be checked: about repetition, order, upper and lower case, and required or forbidden words."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from random import Random

from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import Check, by_text, exact
from vedette_benchmarker.suites.rounds import Maker, of, rounds
from vedette_benchmarker.suites.words import MONTHS, NOUNS
from vedette_benchmarker.suites.wrapping import alone, fold, sentences, unwrapped, without_notes

_MIN_WORDS = 5  # fewer words are not a sentence
_MAX_WORDS = 40
_COUNTS = {2: "twice", 3: "three times", 4: "four times", 5: "five times", 6: "six times", 7: "seven times"}
_WORD = re.compile(r"\w+(?:['-]\w+)*")
_BULLET = re.compile(r"\A[-*+>\u2022]\s+")
_LEAD = re.compile(
    r"\A(?:(?:sure|certainly|of course|okay|ok|absolutely)[!,.:]\s*)?(?:(?:here|the|this|my)\b[^:.\n]{0,100}:\s*)?",
    re.IGNORECASE,
)


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _two_words(rng: Random) -> Item:
    one, other = rng.sample(NOUNS, 2)
    truth = f"{one} {other}"
    prompt = f"Write these two words in this order and nothing else: {one} {other}"
    return Item(prompt=prompt, check=exact(truth, f"{one}, {other}", only=True), truth=truth, max_tokens=24)


def _capitals(rng: Random) -> Item:
    one, other = rng.sample(NOUNS, 2)
    truth = f"{one} {other}".upper()
    prompt = f"Write the words '{one} {other}' in capital letters only. Write nothing else."
    return Item(prompt=prompt, check=exact(truth, case=True, only=True), truth=truth, max_tokens=24)


def _times(rng: Random) -> Item:
    word, count = rng.choice(NOUNS), rng.choice(sorted(_COUNTS))
    truth = " ".join([word] * count)
    prompt = f"Write the word '{word}' {_COUNTS[count]}, separated by spaces, and nothing else."
    return Item(prompt=prompt, check=exact(truth, only=True), truth=truth, max_tokens=48)


def _listed(words: Sequence[str]) -> Check:
    """Return a check for *words* in this order: with commas, or each on a line, numbered or not."""

    def judge(text: str) -> str:
        marked = re.split(r"[,\n]", alone(text).strip(" ."))
        found = [re.sub(r"^\s*(?:[-*]|[0-9]+[.)])\s+", "", one).strip(" .'\"") for one in marked]
        return (
            "" if [fold(one) for one in found if one] == [fold(word) for word in words] else "not that list"
        )

    return by_text(judge)


def _sorted(rng: Random) -> Item:
    count = rng.randint(3, 6)
    words = rng.sample(NOUNS, count)
    while words == sorted(words):
        rng.shuffle(words)
    truth = ", ".join(sorted(words))
    prompt = f"Put these words into alphabetical order, separated by commas: {', '.join(words)}. Write only the list."
    return Item(prompt=prompt, check=_listed(sorted(words)), truth=truth)


def _reversed(rng: Random) -> Item:
    words = rng.sample(NOUNS, rng.randint(3, 6))
    turned = words[::-1]
    prompt = (
        f"Write this list in reverse order, the last word first, separated by commas: {', '.join(words)}. "
        "Write only the list."
    )
    return Item(prompt=prompt, check=_listed(turned), truth=", ".join(turned))


def _condition(rng: Random) -> Item:
    (yes, no), (one, other) = rng.sample(NOUNS, 2), rng.sample(range(10, 1000), 2)
    twice = rng.choice(("", " twice"))
    word = yes if one > other else no
    truth = f"{word} {word}" if twice else word
    prompt = (
        f"If {one} is larger than {other}, write '{yes}'{twice}; if it is not, write '{no}'{twice}. "
        "Write nothing else."
    )
    return Item(
        prompt=prompt, check=exact(truth, truth.replace(" ", ", "), only=True), truth=truth, max_tokens=24
    )


def _date(rng: Random) -> Item:
    day = date(rng.randint(1970, 2035), rng.randint(1, 12), rng.randint(1, 28))
    shape, truth = rng.choice(
        (
            ("YYYY-MM-DD", day.isoformat()),
            ("DD.MM.YYYY", f"{day:%d.%m.%Y}"),
            ("MM/DD/YYYY", f"{day:%m/%d/%Y}"),
        )
    )
    prompt = f"Write the date {day.day} {MONTHS[day.month - 1]} {day.year} in the format {shape}. Write only the date."
    return Item(prompt=prompt, check=exact(truth, only=True), truth=truth, max_tokens=32)


def _sentence(judge: Callable[[list[str]], str]) -> Check:
    """Return a check for one sentence by *judge*, which gets its words. At least five words must be different.

    An introduction before the sentence and notes below it are not part of the sentence, because nothing forbids them.
    """

    def check(text: str) -> str:
        answer = unwrapped(without_notes(text))
        whys = [one_sentence(reading) for reading in (answer, _BULLET.sub("", answer), _LEAD.sub("", answer))]
        return "" if "" in whys else whys[0]

    def one_sentence(answer: str) -> str:
        if len(sentences(answer)) != 1:
            return "not one sentence"
        words = _words(answer)
        if len(set(map(str.lower, words))) < min(_MIN_WORDS, len(words)) or len(words) > _MAX_WORDS:
            return "no sentence"
        return judge(words)

    return by_text(check)


def _without(rng: Random) -> Item:
    wanted, *forbidden = rng.sample(NOUNS, 4)

    def judge(words: list[str]) -> str:
        lower = [word.lower() for word in words]
        if len(words) < _MIN_WORDS:
            return "no sentence"
        if wanted not in lower:
            return f"{wanted!r} is missing"
        return next((f"has {word!r}" for word in (*forbidden, "the") if word in lower), "")

    prompt = (
        f"Write one sentence with the word '{wanted}' in it. Do not use any of these words: the, "
        f"{', '.join(forbidden)}."
    )
    return Item(prompt=prompt, check=_sentence(judge), truth=f"My old {wanted} was lost on a rainy day.")


def _begin_and_end(rng: Random) -> Item:
    first, last = rng.sample(NOUNS, 2)

    def judge(words: list[str]) -> str:
        if len(words) < _MIN_WORDS:
            return "no sentence"
        ends = (words[0].lower(), words[-1].lower())
        return "" if ends == (first, last) else f"begins with {ends[0]!r}, ends with {ends[1]!r}"

    prompt = f"Write one sentence whose first word is '{first.capitalize()}' and whose last word is '{last}'."
    return Item(
        prompt=prompt, check=_sentence(judge), truth=f"{first.capitalize()} is a word that goes with {last}."
    )


_FILLER = ("now", "again", "today", "slowly", "often", "here", "quietly", "alone", "gladly", "there")


def _counted(rng: Random) -> Item:
    one, other = rng.sample(NOUNS, 2)
    count = rng.randint(6, 12)

    def judge(words: list[str]) -> str:
        lower = [word.lower() for word in words]
        missing = [word for word in (one, other) if word not in lower]
        if missing:
            return f"{missing[0]!r} is missing"
        return "" if len(words) == count else f"{len(words)} words, not {count}"

    prompt = f"Write one sentence of exactly {count} words that has the words '{one}' and '{other}' in it."
    truth = " ".join(["My", one, "and", other, *_FILLER[: count - 4]]) + "."
    return Item(prompt=prompt, check=_sentence(judge), truth=truth)


def _points(rng: Random) -> Item:
    word, count = rng.choice(NOUNS), rng.randint(2, 5)

    def judge(text: str) -> str:
        lines = [line.strip() for line in alone(text).splitlines() if line.strip()]
        if len(set(lines)) != count or len(lines) != count:
            return f"{len(lines)} lines, not {count} different ones"
        if not all(line.startswith("- ") for line in lines):
            return "a line does not begin with '- '"
        if any(word not in map(str.lower, _words(line)) for line in lines):
            return f"a line is without {word!r}"
        return "" if all(len(_words(line)) > 1 for line in lines) else "a line says nothing"

    prompt = (
        f"Write {count} different lines. Every line begins with '- ' and has the word '{word}' and at least one other "
        "word in it. Write nothing else."
    )
    truth = "\n".join(f"- {filler} a {word}" for filler in _FILLER[:count])
    return Item(prompt=prompt, check=by_text(judge), truth=truth, max_tokens=96)


def _small_letters(rng: Random) -> Item:
    word, other = rng.sample(NOUNS, 2)

    def judge(words: list[str]) -> str:
        if len(words) < _MIN_WORDS:
            return "no sentence"
        if word not in words or other not in words:
            return f"without {word!r} and {other!r}"
        return "" if all(one == one.lower() for one in words) else "has capital letters"

    prompt = f"Write one sentence with the words '{word}' and '{other}' in it, without any capital letter."
    return Item(prompt=prompt, check=_sentence(judge), truth=f"my {word} and your {other} are on a table.")


def _few_times(rng: Random) -> Item:
    word, count = rng.choice(NOUNS), rng.choice((2, 3))
    truth = " ".join([word] * count)
    prompt = f"Write the word '{word}' {_COUNTS[count]}, separated by spaces, and nothing else."
    return Item(prompt=prompt, check=exact(truth, only=True), truth=truth, max_tokens=24)


def _counted_between(rng: Random) -> Item:
    """Return a sentence whose first word, last word and number of words are given."""
    first, last, inside = rng.sample(NOUNS, 3)
    count = rng.randint(8, 13)

    def judge(words: list[str]) -> str:
        lower = [word.lower() for word in words]
        if len(words) != count:
            return f"{len(words)} words, not {count}"
        if (lower[0], lower[-1]) != (first, last):
            return f"begins with {lower[0]!r}, ends with {lower[-1]!r}"
        return "" if inside in lower[1:-1] else f"{inside!r} is missing"

    prompt = (
        f"Write one sentence of exactly {count} words. Its first word is '{first.capitalize()}', its last word is "
        f"'{last}', and it has the word '{inside}' in it."
    )
    truth = " ".join([first.capitalize(), "and", inside, "are", *_FILLER[: count - 5], last]) + "."
    return Item(prompt=prompt, check=_sentence(judge), truth=truth)


def _without_letter(rng: Random) -> Item:
    """Return a task: a sentence without one of the most frequent vowels and consonants."""
    letter = rng.choice("eas")
    wanted = rng.choice([noun for noun in NOUNS if letter not in noun])
    count = rng.randint(6, 9)

    def judge(words: list[str]) -> str:
        lower = [word.lower() for word in words]
        if len(words) != count:
            return f"{len(words)} words, not {count}"
        if wanted not in lower:
            return f"{wanted!r} is missing"
        return next((f"{word!r} has the letter {letter!r}" for word in lower if letter in word), "")

    prompt = (
        f"Write one sentence of exactly {count} words that has the word '{wanted}' in it, and no word with the letter "
        f"'{letter}'."
    )
    filler = [word for word in _WITHOUT if letter not in word]
    truth = " ".join([*filler[: count - 1], wanted]).capitalize() + "."
    return Item(prompt=prompt, check=_sentence(judge), truth=truth)


_WITHOUT = (
    "you", "will", "find", "my", "good", "old", "kind", "but", "we", "then", "do", "not", "buy", "this",
    "very", "long", "book", "or", "he", "let", "the", "red", "pen", "go", "in", "up",
)  # fmt: skip


def _lengths(rng: Random) -> Item:
    """Return words to be sorted by two rules, every second one in capitals."""
    words = rng.sample([noun for noun in NOUNS if len(noun) > 4], rng.randint(4, 5))
    turned = sorted(words, key=lambda word: (len(word), word[::-1]))
    truth = ", ".join(word.upper() if place % 2 else word for place, word in enumerate(turned))
    prompt = (
        "Order these words by their number of letters, the shortest first; those of the same length by their last "
        "letter in alphabetical order, and where that is the same, by the letter before it, and so on. Write them "
        "separated by commas, every second one in capital letters, beginning with the second. Write only the list: "
        f"{', '.join(words)}."
    )

    def judge(text: str) -> str:
        found = [one.strip(" .'\"") for one in re.split(r"[,\n]", alone(text).strip(" ."))]
        return "" if [one for one in found if one] == truth.split(", ") else "not that list"

    return Item(prompt=prompt, check=by_text(judge), truth=truth, max_tokens=64)


def _spelt_backwards(rng: Random) -> Item:
    words = rng.sample([noun for noun in NOUNS if len(noun) > 5], 3)
    truth = " ".join(word[::-1] for word in words)
    prompt = (
        f"Write each of these words with its letters in reverse order, the words in the same order as here, separated "
        f"by spaces, and nothing else: {' '.join(words)}"
    )
    return Item(prompt=prompt, check=exact(truth, only=True), truth=truth, max_tokens=48)


def _growing(count: int) -> Maker:
    """Return a maker of tasks: *count* lines, each with one word more than the last, with a given word at the end."""

    def make(rng: Random) -> Item:
        ends = rng.sample(NOUNS, count)

        def judge(text: str) -> str:
            lines = [_words(line.lower()) for line in alone(text).splitlines() if line.strip()]
            if [len(words) for words in lines] != list(range(2, 2 + count)):
                return f"lines of {', '.join(str(len(words)) for words in lines)} words"
            if [words[-1] for words in lines] != ends:
                return "a line ends otherwise"
            starts = [words[0] for words in lines]
            return "" if len(set(starts)) == count else "two lines begin with the same word"

        prompt = (
            f"Write {count} lines. The first line has 2 words, and every other line one word more than the line before "
            f"it. The lines end with these words, in this order: {', '.join(ends)}. No two lines begin with the same "
            "word. Write nothing else."
        )
        truth = "\n".join(
            " ".join([*(_FILLER[place:] + _FILLER)[: place + 1], end]) for place, end in enumerate(ends)
        )
        return Item(prompt=prompt, check=by_text(judge), truth=truth, max_tokens=160)

    return make


_MAKERS = (
    _two_words,
    _sorted,
    _without,
    _capitals,
    _condition,
    _counted,
    _times,
    _date,
    _begin_and_end,
    _reversed,
    _points,
    _small_letters,
)


def items(rng: Random) -> Iterator[Item]:
    """Yield instructions, from copying two words to a sentence with a given number of words."""
    return rounds(rng, _MAKERS)


SUITE = Suite(
    kind="instructions",
    version=2,
    items=items,
    levels=(
        ("easy", of(_two_words, _few_times, _capitals)),
        ("hard", of(_counted_between, _spelt_backwards, _without_letter, _growing(4))),
        ("hardest", of(_lengths, _growing(7))),
    ),
)
