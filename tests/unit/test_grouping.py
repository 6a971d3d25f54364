"""Which models are the same weights."""

from samples import model_info
from vedette.types import ModelInfo, ModelRef
from vedette_recommender.grouping import same_weights


def model(name: str, **facts: object) -> ModelInfo:
    return model_info(ModelRef.parse(name), **facts)


def joined(*models: ModelInfo) -> dict[str, list[str]]:
    return {str(one): [str(other) for other in others] for one, others in same_weights(models).items()}


def test_the_same_digest_is_the_same_weights() -> None:
    """At several endpoints and by several names, each told of all the others in order."""
    models = [
        model("b/x", digest="d"),
        model("a/y", digest="d"),
        model("a/x", digest="d"),
        model("c/z", digest="e"),
    ]
    assert joined(*models) == {"b/x": ["a/x", "a/y"], "a/y": ["a/x", "b/x"], "a/x": ["a/y", "b/x"]}


def test_identity_joins_what_digests_cannot() -> None:
    """A server without digests, and one that hashes another file."""
    ollama = model("a/smollm2:135m", digest="d", canonical="smollm2-135m-instruct:q4_1")
    llamacpp = model("b/smol", canonical="smollm2-135m-instruct:q4_1", provider="openai-compatible")
    hashed = model("c/smol", canonical="smollm2-135m-instruct:q4_1", provider="other", digest="another kind")
    assert joined(ollama, llamacpp, hashed) == {
        "a/smollm2:135m": ["b/smol", "c/smol"],
        "b/smol": ["a/smollm2:135m", "c/smol"],
        "c/smol": ["a/smollm2:135m", "b/smol"],
    }


def test_two_digests_of_one_kind_that_differ_are_never_joined() -> None:
    """An older pull of the same tag, whatever its name says."""
    assert joined(model("a/x", digest="d", canonical="c"), model("b/x", digest="e", canonical="c")) == {}


def test_what_is_not_known_joins_nothing() -> None:
    """Two models without digest and identity are not the same for that."""
    assert joined(model("a/x"), model("b/x"), model("c/x", digest="d"), model("d/x", canonical="c")) == {}


def test_another_identity_is_other_weights() -> None:
    """Another quantisation or tuning under one name."""
    assert joined(model("a/x", canonical="x-7b:q4_0"), model("b/x", canonical="x-7b:q8_0")) == {}
