"""What names tell, and that the same weights have one identity under every spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.knowledge.families import FAMILIES, Family
from vedette.knowledge.names import Identity, identify, parse, quantization
from vedette.types import Kind

# name | family | size | variant | quantisation | words that are not understood ("-": none)
# ruff: noqa: E501
NAMES = """
smollm2:135m                                                | smollm2          | 135m      | -                 | -          | -
smollm2:135m-instruct-q4_1                                  | smollm2          | 135m      | instruct          | q4_1       | -
SmolLM2-135M-Instruct.Q4_1.gguf                             | smollm2          | 135m      | instruct          | q4_1       | -
/models/SmolLM2-135M-Instruct.Q4_1.gguf                     | smollm2          | 135m      | instruct          | q4_1       | -
HuggingFaceTB/SmolLM2-1.7B-Instruct                         | smollm2          | 1.7b      | instruct          | -          | -
smollm2-135m                                                | smollm2          | 135m      | -                 | -          | -
smollm2-tools:latest                                        | smollm2          | -         | -                 | -          | tools
llama3.1:8b-instruct-q4_K_M                                 | llama3.1         | 8b        | instruct          | q4_k_m     | -
llama3.1:70b-text-q8_0                                      | llama3.1         | 70b       | base              | q8_0       | -
meta-llama/Meta-Llama-3.1-8B-Instruct                       | llama3.1         | 8b        | instruct          | -          | -
meta-llama/Llama-3.2-3B                                     | llama3.2         | 3b        | -                 | -          | -
llama3.2-vision:11b                                         | llama3.2         | 11b       | vision            | -          | -
Llama-3.2-11B-Vision-Instruct                               | llama3.2         | 11b       | instruct vision   | -          | -
hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M           | llama3.2         | 1b        | instruct          | q4_k_m     | -
llama3.3:70b-instruct-fp16                                  | llama3.3         | 70b       | instruct          | f16        | -
meta-llama/Llama-4-Scout-17B-16E-Instruct                   | llama4           | 16x17b    | instruct          | -          | -
llama4:16x17b                                               | llama4           | 16x17b    | -                 | -          | -
TheBloke/Llama-2-7B-Chat-GPTQ                               | llama2           | 7b        | chat              | gptq       | -
llama2:7b-chat-q4_0                                         | llama2           | 7b        | chat              | q4_0       | -
NousResearch/Hermes-3-Llama-3.1-8B                          | llama3.1         | 8b        | -                 | -          | hermes 3
dolphin-llama3:8b                                           | llama3           | 8b        | -                 | -          | dolphin
codellama:7b-python-q4_K_S                                  | codellama        | 7b        | python            | q4_k_s     | -
TinyLlama/TinyLlama-1.1B-Chat-v1.0                          | tinyllama        | 1.1b      | chat v1.0         | -          | -
tinyllama:1.1b-chat-v1-q4_0                                 | tinyllama        | 1.1b      | chat v1.0         | q4_0       | -
Qwen/Qwen2.5-7B-Instruct-AWQ                                | qwen2.5          | 7b        | instruct          | awq        | -
Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4                          | qwen2.5          | 7b        | instruct          | gptq-int4  | -
Qwen/Qwen2.5-7B-Instruct-1M                                 | qwen2.5          | 7b        | 1m instruct       | -          | -
qwen2.5-coder:1.5b-base-q5_K_M                              | qwen2.5          | 1.5b      | base coder        | q5_k_m     | -
Qwen2.5-Coder-32B-Instruct-Q6_K.gguf                        | qwen2.5          | 32b       | coder instruct    | q6_k       | -
qwen2.5vl:7b                                                | qwen2.5-vl       | 7b        | -                 | -          | -
Qwen/Qwen2.5-VL-7B-Instruct                                 | qwen2.5-vl       | 7b        | instruct          | -          | -
mlx-community/Qwen2.5-0.5B-Instruct-4bit                    | qwen2.5          | 0.5b      | instruct          | 4bit       | -
qwen3:30b-a3b-instruct-2507-q4_K_M                          | qwen3            | 30b-a3b   | 2507 instruct     | q4_k_m     | -
Qwen/Qwen3-30B-A3B-Thinking-2507-FP8                        | qwen3            | 30b-a3b   | 2507 thinking     | fp8        | -
unsloth/Qwen3-8B-GGUF:UD-Q4_K_XL                            | qwen3            | 8b        | -                 | ud_q4_k_xl | -
Qwen/Qwen3-235B-A22B                                        | qwen3            | 235b-a22b | -                 | -          | -
google/gemma-2-9b-it                                        | gemma2           | 9b        | instruct          | -          | -
gemma3:4b-it-qat                                            | gemma3           | 4b        | instruct qat      | -          | -
google/gemma-3-4b-pt                                        | gemma3           | 4b        | base              | -          | -
gemma-3-270m-it-F16.gguf                                    | gemma3           | 270m      | instruct          | f16        | -
gemma3n:e4b                                                 | gemma3n          | e4b       | -                 | -          | -
mistral:7b-instruct-v0.3-q4_K_M                             | mistral          | 7b        | instruct v0.3     | q4_k_m     | -
mistralai/Mistral-7B-Instruct-v0.2                          | mistral          | 7b        | instruct v0.2     | -          | -
mistralai/Mistral-Nemo-Instruct-2407                        | mistral-nemo     | -         | 2407 instruct     | -          | -
mistralai/Mistral-Small-3.1-24B-Instruct-2503               | mistral-small    | 24b       | 2503 3.1 instruct | -          | -
mixtral:8x7b-instruct-v0.1-q3_K_L                           | mixtral          | 8x7b      | instruct v0.1     | q3_k_l     | -
mistralai/Mixtral-8x22B-Instruct-v0.1                       | mixtral          | 8x22b     | instruct v0.1     | -          | -
microsoft/Phi-3-mini-4k-instruct                            | phi3             | 3.8b      | 4k instruct       | -          | -
phi3:3.8b-mini-128k-instruct-q4_0                           | phi3             | 3.8b      | 128k instruct     | q4_0       | -
microsoft/phi-4                                             | phi4             | -         | -                 | -          | -
phi4-mini:3.8b                                              | phi4-mini        | 3.8b      | -                 | -          | -
openai/gpt-oss-20b                                          | gpt-oss          | 20b       | -                 | -          | -
deepseek-ai/DeepSeek-R1-Distill-Qwen-7B                     | deepseek-r1      | 7b        | distill qwen      | -          | -
sentence-transformers/all-MiniLM-L6-v2                      | all-minilm       | 22m       | v2.0              | -          | -
nomic-embed-text:v1.5                                       | nomic-embed-text | -         | v1.5              | -          | -
stories15m:latest                                           | stories          | 15m       | -                 | -          | -
RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16         | llama3.1         | 8b        | instruct          | w4a16      | -
Qwen2.5-72B-Instruct-Q4_K_M-00001-of-00002.gguf             | qwen2.5          | 72b       | instruct          | q4_k_m     | -
/cache/hub/models--Qwen--Qwen2.5-7B-Instruct/snapshots/a09a | qwen2.5          | 7b        | instruct          | -          | -
gemma-3-4b-it-q4_0-bf16                                     | gemma3           | 4b        | instruct          | -          | q4.0 bf16
allenai/OLMoE-1B-7B-0924-Instruct                           | -                | 7b-a1b    | 0924 instruct     | -          | olmoe
OpenMoE-34B-8B                                              | -                | 34b       | -                 | -          | openmoe 8b
Foo-MoE-16B-3B                                              | -                | 16b       | -                 | -          | foo moe 3b
dolphin-moe-7b-13b-merge                                    | -                | 7b        | -                 | -          | dolphin moe 13b merge
moebius-1b-7b                                               | -                | 1b        | -                 | -          | moebius 7b
stabilityai/stablelm-2-1_6b-chat                            | -                | 1.6b      | chat              | -          | stablelm 2
Llama-3.1-8B-Instruct-q4f16_1-MLC                           | llama3.1         | 8b        | instruct          | q4f16_1    | mlc
tiiuae/Falcon3-10B-Instruct-1.58bit                         | -                | 10b       | instruct          | 1.58bit    | falcon3
gpt-4o-mini                                                 | -                | -         | -                 | -          | gpt 4o mini
my-assistant                                                | -                | -         | -                 | -          | my assistant
"""
ROWS = [[cell.strip() for cell in line.split("|")] for line in NAMES.strip().splitlines()]


@pytest.mark.parametrize(("name", "family", "size", "variant", "quantized", "unknown"), ROWS)
def test_a_real_name_tells(
    name: str, family: str, size: str, variant: str, quantized: str, unknown: str
) -> None:
    """Its family, size, variant and quantisation, and which of its words are not understood."""
    parsed = parse(name)
    assert (parsed.family.name if parsed.family else "-") == family
    assert (parsed.size or "-") == size
    assert (" ".join(parsed.variant) or "-") == variant
    assert (parsed.quantization or "-") == quantized
    assert (" ".join(parsed.unknown) or "-") == unknown


def known_of(
    name: str,
    *,
    origin: str | None = None,
    kind: Kind = "chat",
    parameters: int | None = None,
    told: str | None = None,
) -> Identity:
    return identify(name, origin=origin, kind=kind, parameters=parameters, told=told)


@pytest.mark.parametrize(
    ("names", "canonical"),
    [
        (
            [
                "llama3.1:8b-instruct-q4_K_M",
                "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
                "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q4_K_M",
                "hf.co/unsloth/Llama-3.1-8B-Instruct-GGUF:Q4_K_M",
                "library/llama3.1:8b-instruct-q4_k_m",
                "docker.io/ai/llama3.1:8B-Instruct-Q4_K_M",
                "C:\\models\\Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
                "llama-3.1-8b-instruct.q4-k-m",
            ],
            "llama3.1-8b-instruct:q4_k_m",
        ),
        (
            ["gemma2:9b-instruct-q8_0", "gemma-2-9b-it-Q8_0.gguf"],
            "gemma2-9b-instruct:q8_0",
        ),
        (
            ["mixtral:8x7b-instruct-v0.1-q4_0", "TheBloke/Mixtral-8x7B-Instruct-v0.1-GGUF:Q4_0"],
            "mixtral-8x7b-instruct-v0.1:q4_0",
        ),
        (["qwen3-30b-instruct-2507-q8_0", "Qwen3-30B-A3B-Instruct-2507-Q8_0.gguf"], None),
    ],
)
def test_spellings_of_the_same_weights_agree(names: list[str], canonical: str | None) -> None:
    """Whatever the order, the case, the separators and the publisher."""
    found = {known_of(name).canonical for name in names}
    assert len(found) == 1
    assert canonical is None or found == {canonical}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("llama3.1:8b-instruct-q4_K_M", "llama3.1:8b-instruct-q4_K_S"),
        ("llama3.1:8b-instruct-q4_K_M", "llama3.1:8b-text-q4_K_M"),
        ("llama3.1:8b-instruct-q4_K_M", "llama3.2:3b-instruct-q4_K_M"),
        ("mistral:7b-instruct-v0.2-q4_0", "mistral:7b-instruct-v0.3-q4_0"),
        ("gemma3:4b-it-q4_0", "gemma3:4b-it-qat-q4_0"),
        ("llama3.1:8b-instruct-q4_0", "somebody/llama3.1:8b-instruct-q4_0"),
        ("phi3:3.8b-mini-4k-instruct-q4_0", "phi3:3.8b-mini-128k-instruct-q4_0"),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-Coder-7B-Instruct-AWQ"),
    ],
)
def test_what_differs_is_not_joined(one: str, other: str) -> None:
    """Another quantisation, tuning, version or owner is another model."""
    first, second = known_of(one).canonical, known_of(other).canonical
    assert first is not None
    assert second is not None
    assert first != second


@pytest.mark.parametrize(
    "name",
    [
        "smollm2-135m-q4_1",  # instruct or base
        "SmolLM2-135M.Q4_1.gguf",  # a file of anybody's
        "llama3.1:8b",  # no quantisation
        "mistral:7b-instruct-q4_0",  # which version
        "qwen3:4b-q4_K_M",  # moved to other weights
        "dolphin-llama3:8b-instruct-q4_0",  # a fine-tune
        "qwen2.5:instruct-q4_0",  # which size
        "falcon9:7b-instruct-q4_0",  # which family
        "llama3.1:8b-instruct-q4_0-q8_0",  # which of the two
        "",
    ],
)
def test_what_is_not_certain_has_no_identity(name: str) -> None:
    """None rather than a guess."""
    assert known_of(name).canonical is None


def test_a_bare_tag_means_what_the_library_says_only_if_the_server_agrees() -> None:
    """`smollm2:135m` is the instruct model where it converses, and unknown where nobody has said so."""
    assert known_of("smollm2:135m", told="Q4_1").canonical == "smollm2-135m-instruct:q4_1"
    assert known_of("smollm2:135m", told="Q4_1", kind="completion").canonical is None
    assert known_of("smollm2:135m", told="Q4_1", kind="unknown").canonical is None
    repository = known_of("HuggingFaceTB/SmolLM2-135M", told="Q4_1").canonical
    assert repository == "smollm2-135m-base:q4_1"


def test_the_server_beats_the_name() -> None:
    """In the count of parameters and in the quantisation."""
    assert known_of("llama3.1:8b-instruct-q4_0", told="Q8_0").canonical == "llama3.1-8b-instruct:q8_0"
    by_count = known_of("llama3.1:8b-instruct-q4_0", parameters=70_553_706_496)
    assert by_count.canonical == "llama3.1-70b-instruct:q4_0"
    assert known_of("llama3.1:8b-instruct-q4_0", parameters=1_000_000_000).canonical is None
    assert known_of("smollm2:latest", told="Q4_1", parameters=134_515_008).canonical == (
        "smollm2-135m-instruct:q4_1"
    )
    assert known_of("llama3.1:8b-instruct-q4_0", told="a new one").canonical is None


def test_a_finer_mixture_is_believed_to_the_name() -> None:
    """GGUF has no file type for UD-Q4_K_XL: the server can only say Q4_K_M."""
    name = "unsloth/Llama-3.1-8B-Instruct-GGUF:UD-Q4_K_XL"
    assert known_of(name, told="Q4_K_M").canonical == "llama3.1-8b-instruct:ud_q4_k_xl"
    assert known_of(name, told="Q8_0").canonical == "llama3.1-8b-instruct:q8_0"


def test_the_file_names_better_than_the_alias() -> None:
    """An alias of somebody's own says nothing."""
    identity = known_of("smol", origin="gguf/SmolLM2-135M-Instruct.Q4_1.gguf")
    assert identity.canonical == "smollm2-135m-instruct:q4_1"
    assert identity.facts["family"] == "smollm2"


@pytest.mark.parametrize(
    ("told", "plain"),
    [
        ("Q4_K_M", "q4_k_m"),
        ("Q4_K - Medium", "q4_k_m"),
        ("Q2_K - Small", "q2_k_s"),
        ("(guessed) Q4_K - Medium", "q4_k_m"),
        ("IQ2_XXS - 2.0625 bpw", "iq2_xxs"),
        ("all F32", "f32"),
        ("F16", "f16"),
        ("BF16", "bf16"),
        ("MXFP4", "mxfp4"),
        ("unknown", None),
        ("", None),
        (None, None),
    ],
)
def test_servers_words_for_quantisations_agree(told: str | None, plain: str | None) -> None:
    """Ollama and llama.cpp spell the same file type differently."""
    assert quantization(told) == plain


def test_mixtures_of_experts_have_two_sizes() -> None:
    """Of 8x7b the total is no product, so that it comes from the table, and each figure says whence."""
    mixtral = known_of("mixtral:8x7b-instruct-v0.1-q4_0")
    assert mixtral.facts["parameters"] == 46_700_000_000
    assert mixtral.facts["active_parameters"] == 12_900_000_000
    assert mixtral.sources["active_parameters"] == "name; model cards mistralai/Mixtral"
    other = known_of("somebody-100b-a7b")
    assert (other.facts["parameters"], other.facts["active_parameters"]) == (100_000_000_000, 7_000_000_000)
    assert other.sources["active_parameters"] == "name"
    assert "parameters" not in known_of("somebody-4x9b").facts


def test_published_sizes_are_not_those_of_other_models() -> None:
    """A word that is not understood may add to the model: then only what the label says is said."""
    assert known_of("Qwen/Qwen2.5-7B-Instruct").facts["parameters"] == 7_620_000_000
    assert known_of("Qwen/Qwen2.5-Omni-7B").facts["parameters"] == 7_000_000_000
    assert "parameters" not in known_of("dolphin-mixtral:8x7b").facts


def test_cutoffs_come_from_cards_and_not_for_fine_tunes() -> None:
    """Who has trained a model on may have told it more."""
    assert known_of("llama3:8b").facts["knowledge_cutoff"] == "2023-03"
    assert known_of("llama3:70b").facts["knowledge_cutoff"] == "2023-12"
    assert "knowledge_cutoff" not in known_of("llama3:latest").facts
    assert "knowledge_cutoff" not in known_of("dolphin-llama3:8b").facts
    assert "knowledge_cutoff" not in known_of("somebody/llama3:8b").facts
    assert "knowledge_cutoff" not in known_of("smollm2:135m").facts


SIZED = [(family, size) for family in FAMILIES for size in family.sizes]


@given(
    st.sampled_from(SIZED),
    st.sampled_from(["instruct", "base", "thinking"]),
    st.sampled_from(["q4_k_m", "q8_0", "iq2_xxs", "f16", "bf16", "awq", "fp8", "mxfp4"]),
    st.sampled_from([":", "-", "_", " "]),
    st.sampled_from(["-", "_", "."]),
    st.booleans(),
    st.booleans(),
)
def test_an_identity_survives_every_spelling(
    sized: tuple[Family, str],
    tuning: str,
    quantized: str,
    first: str,
    then: str,
    upper: bool,
    as_file: bool,
) -> None:
    """Case, separators and the suffix of a file change nothing; the quantisation always does."""
    family, size = sized
    plain = f"{family.name}-{size}-{tuning}-v1.0-{quantized}"
    spelled = f"{family.name}{first}{size}{then}{tuning}-v1.0{then}{quantized}"
    spelled = spelled.upper() if upper else spelled
    spelled = f"{spelled}.gguf" if as_file and first != "/" else spelled
    identity = known_of(plain).canonical
    assert identity is not None
    assert known_of(spelled).canonical == identity
    assert known_of(plain.replace(quantized, "q5_1")).canonical != identity


@given(st.text(max_size=60), st.one_of(st.none(), st.text(max_size=60)), st.integers(0, 2**62))
def test_any_name_is_taken(name: str, told: str | None, parameters: int) -> None:
    """Nothing that a server can say stops a discovery."""
    identity = known_of(name, origin=name, told=told, parameters=parameters)
    assert identity.sources.keys() == identity.facts.keys()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_is_found_by_its_own_name(family: Family) -> None:
    """And every one has a source."""
    sizes = list(family.sizes) or ["7b"]
    found = parse(f"{family.name}-{sizes[0]}").family
    assert found is family
    assert family.source
