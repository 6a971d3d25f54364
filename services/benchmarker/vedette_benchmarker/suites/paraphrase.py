"""Eight sentences in pairs: each sentence must be nearest to its own paraphrase."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from random import Random

from vedette.types import Capability
from vedette_benchmarker.suites import Suite, VectorItem
from vedette_benchmarker.suites.checks import nearest

_PAIRS = 4  # by chance, eight texts find each other in less than one of a hundred cases
_SYNONYMS = (
    ("doctor", "physician"), ("car", "automobile"), ("lawyer", "attorney"), ("film", "movie"), ("sofa", "couch"),
    ("bike", "bicycle"), ("baby", "infant"), ("shop", "store"), ("photo", "picture"), ("aircraft", "plane"),
    ("rubbish", "garbage"), ("present", "gift"), ("street", "road"), ("ship", "vessel"), ("pupil", "student"),
    ("illness", "disease"), ("jail", "prison"), ("boss", "employer"), ("fridge", "refrigerator"), ("forest", "woods"),
    ("thief", "burglar"), ("stone", "rock"), ("trip", "journey"), ("mistake", "error"), ("salary", "wages"),
    ("luggage", "baggage"), ("author", "writer"), ("melody", "tune"), ("spectacles", "eyeglasses"),
    ("puppy", "young dog"), ("soil", "earth"), ("meal", "food"), ("priest", "clergyman"), ("cash", "money"),
    ("woman", "lady"), ("hill", "small mountain"),
)  # fmt: skip
_FRAMES = (
    (
        "Nobody could tell me where the {} was.",
        "I asked everyone, but they did not know the location of the {}.",
    ),
    ("I have been thinking about the {} all day.", "Since this morning my mind keeps returning to the {}."),
    ("We talked about the {} for hours.", "Our long conversation was entirely concerned with the {}."),
    ("She never forgot the {} she had seen.", "Once noticed, the {} stayed in her memory forever."),
    ("There is something wrong with the {}.", "It looks as if the {} has some kind of problem."),
    ("They wrote a newspaper article on the {}.", "A press report was published concerning the {}."),
    ("He had a strange dream about the {}.", "While asleep he saw the {} in an odd vision."),
    ("Please tell me more about the {}.", "Could you give me further details regarding the {}?"),
)


def _item(rng: Random, *, same_noun: bool, same_frame: bool) -> VectorItem:
    nouns = rng.sample(_SYNONYMS, _PAIRS)
    frames = [rng.choice(_FRAMES)] * _PAIRS if same_frame else rng.sample(_FRAMES, _PAIRS)
    texts = [
        (meaning, text)
        for meaning, ((noun, synonym), (frame, other)) in enumerate(zip(nouns, frames, strict=True))
        for text in (frame.format(noun), other.format(noun if same_noun else synonym))
    ]
    rng.shuffle(texts)
    truth = tuple(meaning for meaning, _ in texts)
    return VectorItem(
        texts=tuple(text for _, text in texts),
        check=nearest(_partners(truth), range(len(truth))),
        truth=truth,
    )


def _partners(truth: Sequence[int]) -> dict[int, int]:
    return {
        at: next(other for other, also in enumerate(truth) if other != at and also == meaning)
        for at, meaning in enumerate(truth)
    }


def items(rng: Random) -> Iterator[VectorItem]:
    """Yield sets of four pairs: of different subjects, of one subject under two names, and all in similar words."""
    for same_noun, same_frame in cycle(((True, False), (False, False), (True, True), (False, True))):
        yield _item(rng, same_noun=same_noun, same_frame=same_frame)


SUITE = Suite(
    kind="paraphrase", version=1, items=items, capability=Capability.EMBEDDING, needs=Capability.EMBEDDING
)
