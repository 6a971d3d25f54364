"""`vedette demo`: the whole path on a real model, and nothing left behind."""

from pathlib import Path

from commands import vedette
from require import missing
from vedette.demo.server import weights
from vedette.errors import ConfigurationError


async def test_the_demo_measures_a_real_model_and_cleans_up(tmp_path: Path) -> None:
    """Exit 0, one JSON document with real figures, cold and warm, and no process left."""
    try:
        weights()
    except ConfigurationError as error:
        missing("model-server", str(error))
    ended = await vedette(
        "demo", "--json", "--threads", "1", "--state-dir", str(tmp_path / "demo"), within_s=300
    )
    assert ended.code == 0, ended.err
    shown = ended.json()
    (model,) = shown["models"]
    speed = model["performance"]
    assert speed["output_tps"] > 0
    assert speed["ttft_ms"] > 0
    assert speed["ttft_cold_ms"] > 0
    assert speed["n"] >= 6
    best = shown["recommendation"]["recommendations"][0]
    assert best["model"] == model["model"]
    assert sum(part["points"] for part in best["contributions"]) == best["raw_score"]
    assert shown["unfinished"] == []
    assert _processes_naming(str(tmp_path)) == []


def _processes_naming(text: str) -> list[str]:
    lines = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
        if text in line:
            lines.append(line)
    return lines
