"""Quality, measured on real models, decides: a faster model that is wrong loses the recommendation."""

from pathlib import Path

import pytest

from commands import Up, up
from eventually import eventually
from pruned import prune
from require import missing
from vedette.demo.server import serving, weights
from vedette.errors import ConfigurationError

CONFIG = """
[benchmarking]
runs = 1
output_tokens = 16
[probing]
job_timeout_s = 3000.0
[evaluating]
items = 8
least = 8
timeout_s = 500.0
[recommend.use_cases.quickest]
weights = {{ speed = 1 }}
bounds = {{ quality = 0 }}
[endpoints.quick]
provider = "openai-compatible"
url = "{quick}"
host_group = "here"
evaluate = false
verify_capabilities = false
[endpoints.right]
provider = "openai-compatible"
url = "{right}"
host_group = "here"
evaluate = false
verify_capabilities = false
"""
BLOCKS = 3  # of thirty: fast, and lost for words
SUITES = ("code_generation",)


@pytest.mark.lane("real")
async def test_the_faster_model_loses_when_it_is_seen_to_be_wrong(tmp_path: Path) -> None:
    """By speed alone the pruned model is first; for code, where right answers count, it is not."""
    try:
        whole = weights()
    except ConfigurationError as error:
        missing("model-server", str(error))
    pruned = prune(whole, tmp_path / "pruned.gguf", keep=BLOCKS)
    async with (
        serving(tmp_path, model=pruned, name="pruned", threads=1) as quick,
        serving(tmp_path, model=whole, name="whole", threads=1) as right,
        up(tmp_path / "state", CONFIG.format(quick=quick.url, right=right.url)) as running,
    ):
        await running.line("ready")
        assert await eventually(lambda: _measured(running), what="both measured") == 2
        assert await eventually(lambda: _faster_is_best(running), what="the faster one is best")
        named = [part for suite in SUITES for part in ("--suite", suite)]
        evaluated = await running.ask("evaluate", *named, "--json")
        assert evaluated.code == 0, evaluated.err
        scores = {
            model["model"]["endpoint"]: model["quality"]["scores"] for model in evaluated.json()["models"]
        }
        assert set(scores["right"]) == set(SUITES)
        assert _right(scores["right"]) > _right(scores["quick"])
        assert await eventually(lambda: _is_best(running, "right/whole"), what=f"the answer of {scores}")
        shown = await running.ask("evaluate", "quick", "--show")
        assert shown.code == 0
        assert "asked" in shown.out
        explained = await running.ask("explain", "code_generation")
        assert "fraction" in explained.out
        file = tmp_path / "scores.toml"
        file.write_text(
            '[[quality]]\nmodel = "pruned"\nuse_case = "code_generation"\nscore = 1.0\n'
            'source = "a friend"\nas_of = 2026-11-25\n'
        )
        taken = await running.ask("quality", "import", str(file))
        assert taken.code == 0, taken.err
        assert await eventually(lambda: _is_best(running, "quick/pruned"), what="the rating counts")
        file.write_text('[[quality]]\nmodel = "pruned"\nscore = 7\nsource = "x"\nas_of = 2026-11-25\n')
        refused = await running.ask("quality", "import", str(file))
        assert refused.code == 2
        assert "entry 1" in refused.err


def _right(scores: dict[str, dict[str, int]]) -> int:
    return sum(score["successes"] for score in scores.values())


async def _best(running: Up, use_case: str = "code_generation") -> str:
    reply = (await running.ask("recommend", use_case, "--json")).json()
    model = reply["recommendation"]["model"]
    return f"{model['endpoint']}/{model['name']}"


async def _is_best(running: Up, name: str) -> bool:
    return await _best(running) == name


async def _faster_is_best(running: Up) -> bool:
    """Return whether the faster model is the quickest; if not, measure again: other work slowed it down."""
    if await _best(running, "quickest") == "quick/pruned":
        return True
    for model in ("quick/pruned", "right/whole"):
        assert (await running.ask("benchmark", model)).code == 0
    return False


async def _measured(running: Up) -> int:
    models = (await running.ask("models", "--json")).json()["models"]
    return len(models) if len(models) == 2 and all(m["performance"] for m in models) else 0
