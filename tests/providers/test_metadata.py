"""What Ollama tells of models that nobody could record here: mixtures of experts, cloud models, renderers."""

from typing import Any

import pytest

from providers.conftest import opened
from providers.replay import Replay, reply
from vedette.providers import Described, Listing
from vedette.types import Capability

DIGEST = "0" * 64


async def described(replay: Replay, **show: Any) -> Described:
    replay.routes["POST", "/api/show"] = reply(200, show)
    async with opened("ollama", replay.url) as endpoint:
        return await endpoint.describe(Listing(name="m"))


# Keys as llama.cpp's converter writes them from the models' own configurations; billions active by their cards.
EXPERTS = {
    "mixtral-8x7b": (
        "llama",
        46_702_792_704,
        {
            "expert_count": 8,
            "expert_used_count": 2,
            "block_count": 32,
            "embedding_length": 4096,
            "feed_forward_length": 14_336,
        },
        12.9,
    ),
    "qwen3-30b-a3b": (
        "qwen3moe",
        30_532_122_624,
        {
            "expert_count": 128,
            "expert_used_count": 8,
            "block_count": 48,
            "embedding_length": 2048,
            "feed_forward_length": 6144,
            "expert_feed_forward_length": 768,
        },
        3.3,
    ),
    "deepseek-v3": (
        "deepseek2",
        671_026_419_200,
        {
            "expert_count": 256,
            "expert_used_count": 8,
            "block_count": 61,
            "leading_dense_block_count": 3,
            "embedding_length": 7168,
            "expert_feed_forward_length": 2048,
        },
        37,
    ),
}


@pytest.mark.parametrize("name", EXPERTS)
async def test_active_parameters_follow_from_the_experts(name: str, replay: Replay) -> None:
    """All parameters without the experts that rest, within a fiftieth of what the model's card says."""
    architecture, total, keys, billions = EXPERTS[name]
    info = {"general.architecture": architecture, "general.parameter_count": total}
    known = await described(replay, model_info=info | {f"{architecture}.{key}": n for key, n in keys.items()})
    assert known.facts["active_parameters"] / 1e9 == pytest.approx(billions, rel=0.02)
    assert "experts" in known.sources["active_parameters"]


@pytest.mark.parametrize(
    ("architecture", "without"),
    [("llama4", ()), ("qwen3moe", ("expert_used_count",)), ("qwen3moe", ("expert_feed_forward_length",))],
)
async def test_what_cannot_be_computed_is_not_told(
    architecture: str, without: tuple[str, ...], replay: Replay
) -> None:
    """Of an architecture with experts in some blocks only, or of keys that are not there."""
    _, total, keys, _ = EXPERTS["qwen3-30b-a3b"]
    info = {f"{architecture}.{key}": n for key, n in keys.items() if key not in without}
    known = await described(
        replay, model_info=info | {"general.architecture": architecture, "general.parameter_count": total}
    )
    assert "active_parameters" not in known.facts


async def test_a_cloud_model_is_remote_and_converses(replay: Replay) -> None:
    """Its listing holds a stub, whose size is not the model's, and no template."""
    remote = {"remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443"}
    entry = {"name": "gpt-oss:120b-cloud", "size": 384, "digest": DIGEST, **remote}
    replay.routes["GET", "/api/tags"] = reply(200, {"models": [entry]})
    async with opened("ollama", replay.url) as endpoint:
        [listing] = await endpoint.list_models()
    known = await described(
        replay, **remote, details={"quantization_level": "MXFP4"}, capabilities=["completion", "tools"]
    )
    assert listing.facts == {"locality": "remote"}
    assert (known.locality, known.kind) == ("remote", "chat")


@pytest.mark.parametrize(
    ("capabilities", "kind", "chats"),
    [
        (["image"], "unknown", False),
        (["image", "vision"], "unknown", False),
        (["completion", "image"], "chat", None),
        (["completion"], "chat", None),
        (["vision"], "chat", None),  # as mlx-knife writes of a model that chats
        (["embedding"], "embedding", None),
    ],
)
async def test_a_model_that_only_draws_is_no_chat(
    capabilities: list[str], kind: str, chats: bool | None, replay: Replay
) -> None:
    """Ollama declares `image` of its picture models, whatever they are called."""
    known = await described(replay, capabilities=capabilities, template="{{ .Messages }}")
    chat = known.claims.get(Capability.CHAT)
    assert (known.kind, chat and chat.value) == (kind, chats)


async def test_a_stub_that_is_called_cloud_is_remote(replay: Replay) -> None:
    """Older versions list no remote_host. Weights of one's own may be called so, too."""
    entries = [
        {"name": "m:cloud", "size": 384},
        {"name": "m-cloud"},
        {"name": "own-cloud", "size": 4 * 10**9},
    ]
    replay.routes["GET", "/api/tags"] = reply(200, {"models": entries})
    async with opened("ollama", replay.url) as endpoint:
        listed = await endpoint.list_models()
    assert [one.facts.get("locality") for one in listed] == ["remote", "remote", None]


async def test_a_renderer_stands_for_a_template(replay: Replay) -> None:
    """A template that only passes the prompt on is then no base model's."""
    shown: dict[str, Any] = {"template": "{{ .Prompt }}", "capabilities": ["completion"]}
    assert (await described(replay, **shown)).kind == "completion"
    assert (await described(replay, **shown, renderer="qwen3-coder")).kind == "chat"


async def test_ollama_com_shows_no_weights(replay: Replay) -> None:
    """Neither template nor format; the size is written out (oh-my-pi#928, openclaw#126653)."""
    shown: dict[str, Any] = {
        "details": {"format": "", "family": "gemma3", "families": None, "parameter_size": "27000000000"},
        "model_info": {"general.architecture": "gemma3", "gemma3.context_length": 131072},
        "capabilities": ["completion", "vision"],
    }
    told = await described(replay, **shown)
    assert told.kind == "chat"
    assert told.facts["parameters"] == 27_000_000_000
    base = shown | {"details": {"format": "gguf", "parameter_size": "27"}, "template": "{{ .Prompt }}"}
    told = await described(replay, **base)
    assert told.kind == "completion"
    assert "parameters" not in told.facts  # in which unit?
    assert (await described(replay, details=None, model_info=None)).kind == "completion"


async def test_an_unknown_quantisation_is_not_called_so(replay: Replay) -> None:
    """Ollama writes `unknown` for what it could not tell."""
    known = await described(replay, details={"quantization_level": "unknown"})
    assert "quantization" not in known.facts


async def test_what_a_model_takes_in_follows_from_what_it_can(replay: Replay) -> None:
    """Images by vision, sound by audio."""
    known = await described(replay, capabilities=["completion", "vision", "audio"])
    assert known.facts["input_modalities"] == ("text", "image", "audio")
