"""What commands show on terminals of several widths."""

from pathlib import Path

from commands import on_screen
from eventually import eventually
from providers.fake_ollama import fake_ollama
from vedette.runtime.nats_server import NatsServer
from whole import Found, found

LONG = "org/Qwen2.5-Coder-32B-Instruct-AWQ-extended-context"
CONFIG = """
[schedule]
availability = "2s"

[endpoints.box]
url = "{url}"
evaluate = false

[endpoints.an-endpoint-that-is-not-there]
url = "http://127.0.0.1:1"
"""
COMMANDS = (
    ("models",),
    ("endpoints",),
    ("recommend", "chat"),
    ("explain", "chat"),
    ("explain", "vision"),
    ("history",),
    ("history", f"box/{LONG}-v1:latest"),
    ("evaluate", "--show"),
    ("doctor", f"box/{LONG}-v1:latest"),
)
# Tables with many columns on every width; what is mostly prose where it is narrow, and where there is room.
SHOWN = [
    *((width, command) for width in (60, 100) for command in COMMANDS),
    *((width, command) for width in (80, 200) for command in COMMANDS[:4]),
]
NAMES = [f"box/{LONG}-v1:latest", f"box/{LONG}-v2:latest", "box/small:latest"]


async def _probed(running: Found) -> list[str]:
    models = (await running.client.models()).models
    probed = len(models) == len(NAMES) and all(one.availability for one in models)
    return [str(one.model) for one in models] if probed else []


async def test_names_are_whole_on_every_screen(server: NatsServer, tmp_path: Path) -> None:
    """No line is wider than the terminal, and no name is broken over lines: it is whole, or cut in the middle."""
    models = {f"{LONG}-v1:latest": "1", f"{LONG}-v2:latest": "2", "small:latest": "3"}
    async with (
        fake_ollama(**models) as ollama,
        found(CONFIG.format(url=ollama.url), server, tmp_path / "s") as running,
    ):
        assert sorted(await eventually(lambda: _probed(running), what="all were probed")) == sorted(NAMES)
        for width, command in SHOWN:
            shown = await on_screen(width, *command, "--state-dir", str(tmp_path / "s"))
            assert max(map(len, shown.splitlines())) <= width, f"{width} {command}\n{shown}"
            words = [word.rstrip(":,.") for word in shown.split() if word.startswith("box/")]
            assert all(_is_a_name(word) for word in words), f"{width} {command}\n{shown}"
        table = await on_screen(60, "models", "--state-dir", str(tmp_path / "s"))
        assert "columns left out: widen the terminal or use --json" in table
        assert "left out" not in await on_screen(200, "models", "--state-dir", str(tmp_path / "s"))
        piped = (await running.ask("models")).out
        assert all(name in piped for name in NAMES)


def _is_a_name(word: str) -> bool:
    begin, _, end = word.partition("…")
    return any(
        name == word or ("…" in word and name.startswith(begin) and name.endswith(end)) for name in NAMES
    )
