"""Two questions and six passages: each question must be nearest to the passage that answers it."""

from collections.abc import Iterator
from itertools import cycle
from random import Random

from msgspec import Struct

from vedette.types import Capability
from vedette_benchmarker.suites import Suite, VectorItem
from vedette_benchmarker.suites.checks import nearest

_PASSAGES = 6
_QUERIES = 2  # both found by chance: one of thirty-six


class _Topic(Struct, frozen=True):
    """Questions, and passages that each answer any of them."""

    queries: tuple[str, ...]
    passages: tuple[str, ...]


_KITCHEN = (
    _Topic(
        ("How do I keep bread from going stale?", "What is the best way to store a loaf?"),
        ("Wrapped in a linen cloth, it stays fresh for days; in the fridge its crumb soon turns dry and hard.",
         "Put what was baked this week into a wooden box, cut side down, and freeze in slices what is left over."),
    ),
    _Topic(
        ("Why do onions make me cry?", "How can I chop onions without tears?"),
        ("Cutting the bulb sets free a gas that stings the eyes; a sharp knife and cold water lessen it.",
         "A vapour rises from the damaged layers and irritates the eye. Chilling the bulb first slows it down."),
    ),
    _Topic(
        ("How long should I boil an egg?", "When is an egg hard inside?"),
        ("Six minutes leave the yolk soft; after ten it is firm all through.",
         "Count from when the water bubbles: at five minutes the yolk runs, at nine it has set."),
    ),
    _Topic(
        ("How do I sharpen a dull knife?", "What makes a blade cut well again?"),
        ("Draw the edge along a wet whetstone at a flat angle, both sides in turn, and finish on leather.",
         "Grind the steel on a fine stone, twenty degrees to the surface, until tomatoes part under its weight."),
    ),
    _Topic(
        ("How can I make coffee less bitter?", "Why does my espresso taste harsh?"),
        ("Grind the beans coarser and let the water cool a little before it is poured on.",
         "Water that is too hot draws out too much from the grounds; shorten the brewing and use a lighter roast."),
    ),
    _Topic(
        ("How do I save a soup that is too salty?", "What can I do when I put too much salt in?"),
        ("Thin it with unseasoned stock, or let some pieces of raw potato simmer in the pot.",
         "Add cream and more vegetables, so that the seasoning is spread over a larger amount."),
    ),
)  # fmt: skip
_HOUSE = (
    _Topic(
        ("How do I stop a tap from dripping?", "Why does my faucet leak?"),
        ("Shut off the supply, unscrew the handle and put in a new rubber washer.",
         "Mostly a worn seal in the valve is to blame; a new one costs little and is changed in minutes."),
    ),
    _Topic(
        ("How can I get rid of mould on the wall?", "Why are there black spots in the corner of my bathroom?"),
        ("Fungus grows where damp air meets cold plaster. Wipe it off with alcohol and open the windows more often.",
         "Those stains are spores that live on moisture: scrub the surface, dry it, and let in fresh air every day."),
    ),
    _Topic(
        ("How do I unblock a sink?", "What helps when the drain is clogged?"),
        ("A plunger moves most plugs; else put a bucket below and empty the bend of the pipe.",
         "Pour in baking soda with vinegar, wait, and flush with hot water until it runs off freely."),
    ),
    _Topic(
        ("How do I hang a heavy picture?", "What holds a large frame on the wall?"),
        ("Drill a hole, push in a plug, and turn in a screw that bears the weight.",
         "Two hooks with dowels, set level with each other, carry more than a single nail does."),
    ),
    _Topic(
        ("How can I save energy when heating?", "How do I lower my gas bill in winter?"),
        ("Turn the thermostat down by one degree, and seal the gaps round windows and doors.",
         "Close the shutters at night, keep radiators clear of furniture, and leave unused rooms cooler."),
    ),
    _Topic(
        ("How do I keep moths out of my wardrobe?", "What eats the holes into my woollen jumpers?"),
        ("The larvae of a small insect feed on it; lavender and cedar wood drive the grown ones off.",
         "Wash clothes before putting them away and shut them into bags: then no caterpillar finds the fibres."),
    ),
)  # fmt: skip
_NATURE = (
    _Topic(
        ("Why do leaves change colour in autumn?", "What turns the woods red and yellow in October?"),
        ("As days grow short, trees break down their green pigment, and others that were hidden come to light.",
         "Chlorophyll is drawn back into the branches, so that carotenes become visible before the foliage falls."),
    ),
    _Topic(
        ("Where do swallows go in winter?", "Why do some birds leave when it gets cold?"),
        ("They fly to Africa, where there are insects to feed on, and come back in spring.",
         "For want of food they migrate thousands of kilometres south and return to their nests in April."),
    ),
    _Topic(
        ("How do bees make honey?", "What do bees do with nectar?"),
        ("They carry the juice of flowers home, thicken it with their wings and seal it into wax cells.",
         "Workers pass the sweet liquid from mouth to mouth until enough water has gone, then store it in the comb."),
    ),
    _Topic(
        ("What causes the tides?", "Why does the sea rise and fall twice a day?"),
        ("The pull of the moon heaps up the water on two sides of the earth, which turns beneath it.",
         "Lunar gravity, with some help from the sun, draws the oceans into bulges that travel round the globe."),
    ),
    _Topic(
        ("How does a volcano erupt?", "Why does lava come out of a mountain?"),
        ("Molten rock gathers in a chamber below; gas in it expands until it bursts through the crater.",
         "Magma is lighter than what surrounds it, so it climbs through cracks and breaks out at the surface."),
    ),
    _Topic(
        ("Why is the sky blue?", "Where does the colour of the sky come from?"),
        ("Air scatters short waves of sunlight more than long ones, so they reach us from everywhere above.",
         "Molecules of the atmosphere deflect light of small wavelength in all directions, far more than red."),
    ),
)  # fmt: skip
_OFFICE = (
    _Topic(
        ("How do I ask for a higher salary?", "What should I say to get a raise?"),
        ("List what you have achieved, find out what others in the trade earn, and name a sum to your manager.",
         "Choose a calm moment, show how your work has grown, and say plainly how much more pay you expect."),
    ),
    _Topic(
        ("How can I fall asleep before an exam?", "What helps when I am too nervous to sleep?"),
        ("Put away the books in the evening, dim the lights, and breathe slowly when you lie down.",
         "Write down your worries an hour before going to bed; a warm bath makes one drowsy."),
    ),
    _Topic(
        ("How do I choose a safe password?", "How can I protect my account from being broken into?"),
        ("Take four random words, use them nowhere else, and switch on the second factor.",
         "Let a manager program make up a long secret for each login, and never give it to anyone."),
    ),
    _Topic(
        ("How do I get rid of back pain from sitting?", "Why does my spine hurt after a day at the desk?"),
        ("Raise the screen to the height of your eyes, stand up every half hour and stretch.",
         "Muscles stiffen when they are not moved: walk during calls and have a chair that supports the loins."),
    ),
    _Topic(
        ("How do I remember people's names?", "Why do I forget what somebody is called?"),
        ("Repeat it aloud when you are introduced, and tie it to a picture in your mind.",
         "One hardly listens at a first meeting; say it back to them and think of someone else who bears it."),
    ),
    _Topic(
        ("How can I learn a language quickly?", "What is the fastest way to become fluent?"),
        ("Speak with natives from the first week, and review new vocabulary in growing intervals.",
         "A little practice every day beats a long lesson on Sunday; listen to radio and talk to yourself in it."),
    ),
)  # fmt: skip
_FIELDS = (_KITCHEN, _HOUSE, _NATURE, _OFFICE)
_ALL = tuple(topic for field in _FIELDS for topic in field)


def _item(rng: Random, among: tuple[_Topic, ...]) -> VectorItem:
    topics = rng.sample(among, _PASSAGES)
    asked = rng.sample(range(_PASSAGES), _QUERIES)
    queries = [rng.choice(topics[at].queries) for at in asked]
    passages = [rng.choice(topic.passages) for topic in topics]
    partner = {query: _QUERIES + at for query, at in enumerate(asked)}
    return VectorItem(
        texts=(*queries, *passages),
        check=nearest(partner, range(_QUERIES, _QUERIES + _PASSAGES)),
        truth=(*asked, *range(_PASSAGES)),
    )


def items(rng: Random) -> Iterator[VectorItem]:
    """Yield questions with passages from all fields, then from one field, which are more similar to each other."""
    for mixed in cycle((True, False)):
        yield _item(rng, _ALL if mixed else rng.choice(_FIELDS))


SUITE = Suite(
    kind="retrieval", version=1, items=items, capability=Capability.EMBEDDING, needs=Capability.EMBEDDING
)
