"""What published facts let expect: which model a name means, how good it is, how sure that is."""

import csv
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.knowledge import Known, known, of_name, shut_down
from vedette.knowledge.abilities import AXES_OF
from vedette.knowledge.quantised import bits, kept
from vedette.knowledge.recognition import spell
from vedette.knowledge.scale import CURVES, SMALL_ABILITY, SMALL_QUALITY
from vedette.knowledge.table import MODELS, SPELLINGS, bundled, parse, read
from vedette.types import Kind, Locality, ModelInfo, ModelRef
from vedette.usecases import BUILT_IN

CHAT = tuple(use_case for use_case in AXES_OF if use_case != "embedding")


def listed(
    name: str,
    *,
    kind: Kind = "chat",
    parameters_b: float | None = None,
    quantization: str | None = None,
    locality: Locality = "remote",
    cutoff: str | None = None,
) -> ModelInfo:
    return ModelInfo(
        model=ModelRef("here", name),
        provider="openai-compatible",
        url="http://127.0.0.1:1",
        api="openai",
        kind=kind,
        parameters=round(parameters_b * 1e9) if parameters_b else None,
        quantization=quantization,
        locality=locality,
        knowledge_cutoff=cutoff,
    )


# spelling | as which model it is recognised ("-": none) | basis
RECOGNISED = """
llama3.1:8b                                       | llama-3.1-8b                 | model
llama3.1:8b-instruct-q4_K_M                       | llama-3.1-8b                 | model
Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf            | llama-3.1-8b                 | model
meta-llama/Llama-3.1-8B-Instruct                  | llama-3.1-8b                 | model
hf.co/bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q4_K_M | llama-3.1-8b            | model
RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16 | llama-3.1-8b               | model
/models/Meta-Llama-3.1-8B-Instruct.Q8_0.gguf      | llama-3.1-8b                 | model
meta.llama3-1-8b-instruct-v1:0                    | llama-3.1-8b                 | model
groq/llama-3.3-70b-versatile                      | llama-3.3-70b                | model
Qwen/Qwen2.5-7B-Instruct-GGUF                     | qwen2.5-7b                   | model
Qwen/Qwen2.5-7B-Instruct-AWQ                      | qwen2.5-7b                   | model
Qwen_Qwen3-8B-Q4_K_M.gguf                         | qwen3-8b                     | model
qwen2.5-coder:7b                                  | qwen2.5-coder-7b             | model
qwen3:4b                                          | qwen3-4b-2507                | model
gpt-4o-2024-08-06                                 | gpt-4o-2024-08-06            | model
azure/gpt-4o                                      | gpt-4o                       | model
openai/gpt-5                                      | gpt-5                        | model
gpt-5-2025-08-07                                  | gpt-5                        | model
gpt-5-mini-2025-08-07                             | gpt-5-mini                   | model
us.anthropic.claude-sonnet-4-5-20250929-v1:0      | claude-sonnet-4.5            | model
anthropic/claude-opus-4.5                         | claude-opus-4.5              | model
claude-opus-4-5@20251101                          | claude-opus-4.5              | model
claude-3-5-sonnet-20241022                        | claude-3.5-sonnet-20241022   | model
anthropic.claude-3-5-sonnet-20241022-v2:0         | claude-3.5-sonnet-20241022   | model
anthropic.claude-v2:1                             | -                            | tier
mistral.mistral-7b-instruct-v0:2                  | mistral-v0.2-7b              | model
cohere.embed-v4:0                                 | cohere-embed-v4.0            | model
openai.gpt-oss-120b-1:0                           | gpt-oss-120b                 | model
amazon.nova-pro-v1:0                              | nova-pro                     | model
phi-4:1                                           | -                            | nothing
accounts/fireworks/models/deepseek-v3p1           | deepseek-v3.1                | model
openrouter/qwen/qwen3-235b-a22b-thinking-2507     | qwen3-235b-a22b-2507         | model
deepseek-r1                                       | deepseek-r1                  | model
deepseek-r1:32b                                   | deepseek-r1-distill-qwen-32b | model
deepseek-ai/DeepSeek-R1-Distill-Qwen-7B           | deepseek-r1-distill-qwen-7b  | model
tinyllama:1.1b-chat-v1-q4_0                       | tinyllama-1.1b               | model
gemma3:27b-it-qat                                 | gemma-3-27b                  | model
unsloth/gemma-3-4b-it-GGUF:UD-Q4_K_XL             | gemma-3-4b                   | model
mistral:7b-instruct-v0.3-q4_K_M                   | mistral-v0.3-7b              | model
phi4:14b                                          | phi-4-14b                    | model
gpt-oss:20b                                       | gpt-oss-20b                  | model
gemini-2.5-pro                                    | gemini-2.5-pro               | model
nomic-embed-text:v1.5                             | nomic-embed-text-v1.5        | model
sentence-transformers/all-MiniLM-L6-v2            | all-minilm-l6-v2             | model
my-llama-3.1-8b-medical                           | -                            | family
somebody/Llama-3.1-8B-Uncensored                  | -                            | family
phi-4-14b-legal-dpo                               | -                            | family
qwen3:9b                                          | -                            | family
deepseek-r1-distill-foo-9b                        | -                            | family
gpt-6                                             | -                            | tier
gpt-6-nano                                        | -                            | tier
claude-opus-5                                     | -                            | tier
gpt-4o-2031-01-01                                 | -                            | family
stories15m:latest                                 | -                            | size
my-model-13b                                      | -                            | size
my-assistant                                      | -                            | nothing
"""
ROWS = [[cell.strip() for cell in line.split("|")] for line in RECOGNISED.strip().splitlines()]


@pytest.mark.parametrize(("name", "model", "basis"), ROWS)
def test_a_spelling_is_recognised_or_honestly_not(name: str, model: str, basis: str) -> None:
    """A known model under any spelling; a fine-tune or a distillation is never the famous model."""
    found = of_name(name)
    assert (found.name or "-", found.basis) == (model, basis)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("gpt-5.1-codex-max-high", "gpt-5.1-codex"),
        ("microsoft/Phi-4-mini-reasoning", "phi-4-mini"),
        ("kimi-k2-thinking-turbo", "kimi-k2-turbo"),
        ("Command-R+", "command-r"),
        ("llama3.1-embed:8b", "llama-3.1-8b"),
        ("gpt-4o-audio-preview", "gpt-4o"),
    ],
)
def test_a_word_more_is_another_model(name: str, other: str) -> None:
    """A word that tells models apart is never left out."""
    assert of_name(name).name != other


@pytest.mark.parametrize(
    ("bedrock", "elsewhere"),
    [
        ("anthropic.claude-v2:1", "claude-v2.1"),
        ("cohere.rerank-v3-5:0", "rerank-v3.5"),
        ("mistral.mistral-7b-instruct-v0:2", "mistral-7b-v0.2"),
        ("cohere.embed-v4:0", "embed-v4.0"),
        ("amazon.titan-embed-text-v2:0", "titan-embed-v2.0"),
        ("anthropic.claude-3-sonnet-20240229-v1:0:28k", "claude-3-sonnet-20240229:28k"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss-120b"),
    ],
)
def test_a_version_stays_in_a_name_of_bedrock(bedrock: str, elsewhere: str) -> None:
    """A new model is not the old one; what stands behind a version is a revision of Amazon's."""
    assert spell(bedrock).key == spell(elsewhere).key


def test_spellings_that_nobody_listed_are_recognised() -> None:
    """At least 95 of 100, and none as another model."""
    lines = (Path(__file__).parents[1] / "knowledge_sample" / "spellings.txt").read_text().splitlines()[1:]
    meant = dict(line.split(" | ") for line in lines)
    found = {spelling: of_name(spelling).name or "-" for spelling in meant}
    assert {name: model for name, model in found.items() if model not in ("-", meant[name])} == {}
    assert sum(found[name] == model for name, model in meant.items()) >= 0.95 * len(meant)


def test_the_server_beats_the_name() -> None:
    """What counts one billion parameters is not the model of eight, whatever its name."""
    assert known(listed("llama3.1:8b", parameters_b=8.03)).basis == "model"
    small = known(listed("llama3.1:8b", parameters_b=1.0))
    assert small.name is None
    assert small.expectations["chat"].quality < known(listed("llama3.1:8b")).expectations["chat"].quality
    assert known(listed("qwen3:latest", parameters_b=8.19)).name == "qwen3-8b"


def test_a_file_under_the_name_of_a_hosted_model_is_not_that_model() -> None:
    """Local servers call any model gpt-4o, so that clients find it."""
    assert known(listed("gpt-4o")).name == "gpt-4o"
    local = known(listed("gpt-4o", parameters_b=1.2, quantization="Q4_K_M", locality="local"))
    assert (local.name, local.basis) == (None, "size")
    assert local.expectations["chat"].quality < 0.3
    assert known(listed("gpt-4o", quantization="Q4_K_M")).basis == "nothing"
    assert known(listed("gpt-oss:20b", quantization="MXFP4", locality="local")).name == "gpt-oss-20b"


def test_a_hosted_model_of_an_unknown_vendor_is_no_small_local_one() -> None:
    """A service that sells a model runs a better one than most that fit on a desk; a word for its size counts."""
    large, small, local = (
        known(listed(name, locality=locality)).expectations["chat"].quality
        for name, locality in (("acme-prod", "remote"), ("acme-mini", "remote"), ("acme-prod", "local"))
    )
    assert local + 0.1 < large
    assert known(listed("acme-prod")).basis == "nothing"
    assert small <= large


def quality(name: str, use_case: str = "chat") -> float:
    return of_name(name).expectations[use_case].quality


def test_better_models_are_expected_to_be_better() -> None:
    """The orders that any user would name."""
    assert (
        quality("claude-opus-4.5")
        > quality("gpt-4o-2024-08-06")
        > quality("llama3.1:8b")
        > quality("smollm2:135m")
    )
    assert quality("qwen3:4b", "reasoning") > quality("llama2:70b", "reasoning")
    assert quality("qwen2.5-coder:7b", "code_generation") > quality("codellama:34b", "code_generation")
    assert quality("gpt-5", "agent") > quality("gpt-5-nano", "agent")


def test_an_unknown_hosted_name_goes_by_its_tier() -> None:
    """A future name sits near the best, its nano below it, and both far above a small open model."""
    best = quality("gpt-6")
    assert best > 0.9
    assert best >= quality("gpt-6-mini") > quality("gpt-6-nano") > quality("llama3.1:8b")
    assert of_name("gpt-6").expectations["chat"].spread > of_name("gpt-5").expectations["chat"].spread


def test_a_base_model_is_worse_at_answering() -> None:
    """Weights that were not tuned to answer are not expected to."""
    assert quality("Qwen/Qwen2.5-7B") < quality("Qwen/Qwen2.5-7B-Instruct") - 0.2
    completion = known(listed("qwen2.5-7b", kind="completion")).expectations["chat"].quality
    assert completion == pytest.approx(quality("Qwen/Qwen2.5-7B"))


def test_a_fine_tune_is_less_sure_than_its_model() -> None:
    """The same mean, a wider spread."""
    for use_case in CHAT:
        tuned = of_name("my-llama-3.1-8b-medical").expectations[use_case]
        assert tuned.spread > of_name("llama3.1:8b").expectations[use_case].spread


def test_a_quantisation_costs_small_models_more() -> None:
    """Four bits, of a small and of a large model; never a gain."""
    losses = bundled().losses
    assert kept(losses, 0.5, "Q4_K_M") < kept(losses, 7, "Q4_K_M") < kept(losses, 70, "Q4_K_M") < 1.0
    for size in (0.5, 7.0, 70.0):
        by_bits = [kept(losses, size, f"Q{count}_K") for count in (2, 3, 4, 5, 6)]
        assert by_bits == sorted(by_bits)
    assert (
        quality("llama3.1:8b-instruct-q2_K") < quality("llama3.1:8b-instruct-q8_0") < quality("llama3.1:8b")
    )


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("Q4_K_M", 4), ("IQ2_XXS", 2), ("Q8_0", 8), ("F16", 16), ("BF16", 16), ("FP8", 8), ("AWQ", 4), ("w4a16", 4),
        ("gptq-int4", 4), ("4bit", 4), ("MXFP4", 16), ("nf4", 4), ("", 16), (None, 16), ("Q4_K - Medium", 4),
        ("1.58BIT", 1), ("Q4F16_1", 4), ("3.5bpw", 3),
    ],
)  # fmt: skip
def test_bits_of_a_quantisation(written: str | None, count: int) -> None:
    """As servers and names write them."""
    assert bits(written) == count


def test_every_use_case_has_axes_and_anchors() -> None:
    """Else nothing is expected of a model in it: a new use case needs both."""
    assert AXES_OF.keys() == CURVES.keys() == BUILT_IN.keys()


def test_the_scale_meets_its_anchors() -> None:
    """What Vedette measured of a small model, and 0.95 for the best."""
    for use_case, measured in SMALL_QUALITY.items():
        assert CURVES[use_case].quality(SMALL_ABILITY) == pytest.approx(measured)
        assert (
            abs(of_name("SmolLM2-135M-Instruct.Q4_1.gguf").expectations[use_case].quality - measured) < 0.06
        )
        assert 0.93 < of_name("claude-opus-4.7").expectations[use_case].quality < 0.97


def test_an_embedding_model_is_judged_by_retrieval() -> None:
    """Its own scale; a chat model is not expected to embed well, nor the other way round."""
    model = of_name("BAAI/bge-m3")
    assert model.expectations["embedding"].quality > 0.75
    assert model.expectations["chat"].quality < 0.1
    assert model.embeds
    assert not of_name("gpt-5").embeds
    assert of_name("gpt-5").expectations["embedding"].quality < 0.5
    assert known(listed("unknown-embed", kind="embedding")).basis == "nothing"


def test_shutdown_dates_are_those_of_the_vendor() -> None:
    """They hold where the vendor serves the model, and a served date goes first."""
    ended = of_name("gpt-4o-2024-08-06")
    assert ended.shutdown == date(2026, 2, 27)
    assert shut_down(ended, date(2026, 2, 28))
    assert not shut_down(ended, date(2026, 2, 27))
    assert of_name("mistral-large-2407").shutdown is None  # its weights are published, and served by others
    local = known(listed("gpt-4o-2024-08-06", locality="local"))
    assert not shut_down(local, date(2030, 1, 1))
    info = listed("llama3.1:8b")
    told = ModelInfo(
        model=info.model, provider="x", url="x", api="x", retires_at=datetime(2027, 1, 1, tzinfo=UTC)
    )
    assert known(told).shutdown == date(2027, 1, 1)


def check(found: Known) -> None:
    assert set(found.expectations) == set(BUILT_IN)
    for expectation in found.expectations.values():
        assert 0.0 <= expectation.quality <= 0.97
        assert 0.03 <= expectation.spread <= 0.5
    assert (found.name is not None) >= (found.basis == "model")


@given(st.text(min_size=1, max_size=80))
def test_any_text_is_answered(name: str) -> None:
    """Whatever a server lists, something is expected of it."""
    check(of_name(name))


WORDS = st.sampled_from(
    (
        "llama",
        "3.1",
        "8b",
        "70b",
        "qwen",
        "2.5",
        "gpt",
        "4o",
        "5",
        "claude",
        "opus",
        "4.5",
        "mini",
        "nano",
        "distill",
        "r1",
    )
)


@given(st.lists(WORDS, min_size=1, max_size=6), st.sampled_from("-_:/. "))
def test_any_order_of_real_words_is_answered(words: list[str], separator: str) -> None:
    """Real words in any order raise nothing, and the order of the words of one name changes nothing."""
    check(of_name(separator.join(words)))


SIZES = st.floats(0.01, 2000.0)


@given(SIZES, SIZES, st.sampled_from(["my-own", "qwen3-foo", "llama-2-foo", "phi-foo"]))
def test_a_larger_model_is_never_expected_to_be_worse(one: float, other: float, name: str) -> None:
    """All else equal, whether a family is known or not."""
    small, large = sorted((one, other))
    less, more = (known(listed(name, parameters_b=size, locality="local")) for size in (small, large))
    for use_case in CHAT:
        assert less.expectations[use_case].quality <= more.expectations[use_case].quality + 1e-9


@given(
    st.dates(date(2022, 1, 1), date(2030, 1, 1)),
    st.dates(date(2022, 1, 1), date(2030, 1, 1)),
    st.sampled_from(["claude-zeta-", "gpt-99-", "my-own-7b-"]),
)
def test_a_later_model_is_never_expected_to_be_worse(one: date, other: date, prefix: str) -> None:
    """All else equal; and nothing is expected of dates after the newest fact."""
    early, late = sorted((one, other))
    less, more = (of_name(f"{prefix}{day:%Y%m%d}").expectations["chat"].quality for day in (early, late))
    assert less <= more + 1e-9


@pytest.mark.parametrize("month", ["202412", "2412"])
def test_a_hosted_snapshot_is_as_old_as_its_month(month: str) -> None:
    """As with the whole date; of weights of one's own, four digits may be anything."""
    told = of_name(f"gemini-zeta-{month}").expectations["chat"].quality
    assert told == pytest.approx(of_name("gemini-zeta-20241215").expectations["chat"].quality, abs=0.01)
    assert known(listed(f"my-own-7b-{month}", locality="local")) == known(
        listed("my-own-7b-9999", locality="local")
    )


def test_a_hosted_name_without_version_or_date_is_not_the_newest() -> None:
    """It may be an old one whose scores were never published, so less is expected than of a new version."""
    undated, newest = (of_name(name).expectations["chat"] for name in ("gemini-zeta", "gemini-99-zeta"))
    assert undated.quality < newest.quality - 0.01


def test_the_table_is_small_and_quick_to_load() -> None:
    """A small multiple of what it takes to split its texts, and 6 MB, since every recommender loads it."""
    texts = {
        name: read(name) for name in (MODELS, SPELLINGS, "families.csv", "priors.csv", "quantisation.csv")
    }

    def took_s(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    def split() -> list[list[str]]:
        return [row for text in texts.values() for row in csv.reader(text.splitlines())]

    # Of several runs, because any may have garbage to collect; in turns, because others may need the processor.
    runs = [(took_s(lambda: parse(texts)), took_s(split)) for _ in range(5)]
    assert min(parsed for parsed, _ in runs) < 20 * min(alone for _, alone in runs)
    tracemalloc.start()
    try:
        loaded = parse(texts)
        assert loaded.rows
        assert tracemalloc.get_traced_memory()[0] + sum(map(len, texts.values())) < 6_000_000
    finally:
        tracemalloc.stop()


def test_a_new_generation_is_not_judged_by_the_first() -> None:
    """A version above all known ones is new, with doubt; no older family of a part of its name is taken for it."""
    for name, older in (("qwen9:8b", "qwen3:8b"), ("llama9:8b", "llama3.1:8b"), ("phi-9-14b", "phi4:14b")):
        found, before = of_name(name), of_name(older)
        assert (found.name, found.basis) == (None, "size_and_date")
        assert found.expectations["chat"].quality > before.expectations["chat"].quality
    assert of_name("gpt-9").expectations["chat"].quality >= quality("gpt-5")
    assert quality("qwen9:1b") < quality("qwen9:8b") < quality("qwen9:70b")
