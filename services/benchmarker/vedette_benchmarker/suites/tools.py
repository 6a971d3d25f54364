"""Tools to call: the right one of several, with the right arguments."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from vedette.providers import Tool, ToolCall
from vedette.types import Capability
from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.checks import calls
from vedette_benchmarker.suites.rounds import Maker, of, rounds
from vedette_benchmarker.suites.words import NAMES, NOUNS, TOWNS, WEEKDAYS


def _tool(
    name: str, description: str, **parameters: tuple[str, str] | tuple[str, str, tuple[str, ...]]
) -> Tool:
    """Return a tool. Each of its *parameters* has a type, a description, and possibly a list of allowed values."""
    properties: dict[str, dict[str, Any]] = {}
    for parameter, (kind, says, *values) in parameters.items():
        properties[parameter] = {
            "type": kind,
            **({"description": says} if says else {}),
            **({"enum": list(values[0])} if values else {}),
        }
    return Tool(
        name=name,
        description=description,
        parameters={"type": "object", "properties": properties, "required": list(properties)},
    )


WEATHER = _tool("get_weather", "Get the present weather of a town.", town=("string", ""))
TRAIN = _tool(
    "book_train",
    "Book train tickets from one town to another.",
    origin=("string", ""),
    destination=("string", ""),
    seats=("integer", ""),
)
ALARM = _tool(
    "set_alarm",
    "Set an alarm.",
    day=("string", "", WEEKDAYS),
    hour=("integer", "0 to 23"),
    minute=("integer", ""),
)
MESSAGE = _tool(
    "send_message",
    "Send a text message to a person.",
    recipient=("string", "First name"),
    text=("string", "Word for word"),
)
LIGHT = _tool(
    "set_light",
    "Switch the light of a room.",
    room=("string", ""),
    on=("boolean", ""),
)
STOCK = _tool("count_stock", "Tell how many pieces of an article are in stock.", article=("string", ""))
TOOLS = (WEATHER, TRAIN, ALARM, MESSAGE, LIGHT, STOCK)
_ROOMS = ("kitchen", "bathroom", "hall", "office", "cellar", "bedroom", "attic", "garage")

Wish = tuple[str, ToolCall]


def _call(tool: Tool, **arguments: Any) -> ToolCall:
    return ToolCall(name=tool.name, arguments=arguments)


def _weather(rng: Random) -> Wish:
    town = rng.choice(TOWNS)
    asked = rng.choice(
        ("What is the weather in {} now?", "Is it raining in {} at the moment?", "How warm is {} now?")
    )
    return asked.format(town), _call(WEATHER, town=town)


def _stock(rng: Random) -> Wish:
    article = rng.choice(NOUNS)
    asked = rng.choice(
        ("How many pieces of the article '{}' are in stock?", "Look up our stock of '{}', please.")
    )
    return asked.format(article), _call(STOCK, article=article)


def _light(rng: Random) -> Wish:
    room, on = rng.choice(_ROOMS), rng.random() < 0.5
    return f"Please switch the light in the {room} {'on' if on else 'off'}.", _call(LIGHT, room=room, on=on)


def _train(rng: Random) -> Wish:
    (origin, destination), seats = rng.sample(TOWNS, 2), rng.randint(2, 9)
    wish = f"We are {seats} people and want to go to {destination} by train; we start in {origin}. Book it."
    return wish, _call(TRAIN, origin=origin, destination=destination, seats=seats)


def _alarm(rng: Random) -> Wish:
    day, hour, minute = rng.choice(WEEKDAYS), rng.randint(1, 11), rng.randint(1, 59)
    half = rng.choice(("am", "pm"))
    wish = f"Wake me on {day} at {hour}:{minute:02} {half}."
    return wish, _call(ALARM, day=day, hour=hour + 12 * (half == "pm"), minute=minute)


def _message(rng: Random) -> Wish:
    name, thing = rng.choice(NAMES), rng.choice(NOUNS)
    text = rng.choice(
        ("I have found the {}", "please bring the {}", "the {} is ready", "do not forget the {}")
    )
    wish = f'Send {name} this message, word for word: "{text.format(thing)}"'
    return wish, _call(MESSAGE, recipient=name, text=text.format(thing))


def _one(wish: Callable[[Random], Wish], others: int) -> Maker:
    """Return a maker of a wish that needs one call, with this number of *others* next to the right tool."""

    def make(rng: Random) -> Item:
        said, call = wish(rng)
        right = next(tool for tool in TOOLS if tool.name == call.name)
        return _item(rng, said, (call,), (right,), others)

    return make


def _two(rng: Random) -> Item:
    """Return an item that needs two calls of different tools."""
    (said, call), (also, other) = (wish(rng) for wish in rng.sample((_weather, _light, _message, _alarm), 2))
    wanted = tuple(tool for tool in TOOLS if tool.name in (call.name, other.name))
    return _item(rng, f"Do two things. First: {said} Second: {also}", (call, other), wanted, 1)


def _item(rng: Random, said: str, wanted: tuple[ToolCall, ...], right: tuple[Tool, ...], others: int) -> Item:
    beside = rng.sample([tool for tool in TOOLS if tool not in right], others)
    offered = [*right, *beside]
    rng.shuffle(offered)
    return Item(
        prompt=said,
        check=calls(*wanted),
        truth_calls=wanted,
        tools=tuple(offered),
        max_tokens=192,
    )


def _seats(rng: Random) -> Wish:
    """Return a journey whose number of seats must be counted, with the towns in reverse order."""
    (origin, destination), people = rng.sample(TOWNS, 2), rng.sample(NAMES, rng.randint(3, 6))
    stays = people.pop()
    wish = (
        f"{', '.join(people)} and I have to be in {destination} tomorrow; {stays} stays at home in {origin}, from "
        "where we all start. Book the train for us."
    )
    return wish, _call(TRAIN, origin=origin, destination=destination, seats=len(people) + 1)


def _before(rng: Random) -> Wish:
    """Return an alarm some time before a given time, on the same day or the day before."""
    day, hour, minute = rng.randrange(7), rng.randint(7, 11), rng.choice((5, 10, 20, 25, 35, 40, 50, 55))
    early = rng.choice((75, 95, 110, 130, 145))
    at = hour * 60 + minute - early
    ahead = rng.randint(2, 5)
    wish = (
        f"Today is {WEEKDAYS[day]}. In {ahead} days my train leaves at {hour}:{minute:02} am. Wake me {early} minutes "
        "before that."
    )
    return wish, _call(ALARM, day=WEEKDAYS[(day + ahead) % 7], hour=at // 60, minute=at % 60)


_ORDERS = ("First", "Second", "Third", "Fourth")


def _several(*wishes: Callable[[Random], Wish]) -> Maker:
    """Return a maker of items that need a call for each of *wishes*."""

    def make(rng: Random) -> Item:
        chosen = [wish(rng) for wish in rng.sample(wishes, len(wishes))]
        said = " ".join(
            f"{order}: {wish}" for order, (wish, _) in zip(_ORDERS[: len(chosen)], chosen, strict=True)
        )
        wanted = tuple(call for _, call in chosen)
        right = tuple(tool for tool in TOOLS if any(call.name == tool.name for call in wanted))
        return _item(rng, f"Do {len(chosen)} things. {said}", wanted, right, min(2, len(TOOLS) - len(right)))

    return make


_MAKERS = (
    _one(_weather, 2),
    _one(_train, 2),
    _one(_stock, 2),
    _one(_alarm, 3),
    _one(_light, 2),
    _one(_message, 3),
    _two,
)


def items(rng: Random) -> Iterator[Item]:
    """Yield wishes that take a tool, from one argument to two calls."""
    return rounds(rng, _MAKERS)


SUITE = Suite(
    kind="tools",
    version=2,
    items=items,
    capability=Capability.TOOLS,
    needs=Capability.TOOLS,
    levels=(
        ("easy", of(_one(_weather, 1), _one(_stock, 1))),
        ("hard", of(_one(_seats, 3), _one(_before, 3), _several(_light, _message, _train))),
        ("hardest", of(_several(_seats, _before, _message, _light), _several(_before, _seats, _message))),
    ),
)
