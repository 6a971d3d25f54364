"""The screen of `vedette top`, as a person at a keyboard sees it: what is shown is what was replied."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Input, RichLog, Static

from catalogues import Pair, catalogue
from eventually import eventually
from samples import benchmark_event, lifecycle_event, model_info, probe_event, winner_event
from scripted import Scripted
from unit.test_live import CHAT, FOUND, NOW, A, B, feed_of
from vedette.cli import viewing
from vedette.cli.fitting import Column
from vedette.cli.live.fleet import Fleet, row
from vedette.cli.live.grid import Grid
from vedette.cli.live.screen import Panel, Probe, Top
from vedette.cli.options import HERE
from vedette.errors import ConfigurationError, RequestError
from vedette.messages.events import Progress
from vedette.messages.queries import EndpointView
from vedette.settings import Origin
from vedette.types import ModelRef, Pause

SIZES = ((60, 20), (80, 24), (160, 50))
HOSTILE = (
    "[red]red[/red]",
    "[@click=app.quit]click[/]",
    "safe\u202eevil",
    "zero\u200bwidth",
    "日本語モデル" * 12,
    "e\u0301" + "\u0301" * 40,
    "x" * 300,
    ":smile:",
)


async def no_probe(model: ModelRef, group: str) -> AsyncIterator[Progress]:
    """Fail as for a user who is no operator."""
    raise RequestError(code="denied", message=f"no operator for {model}")
    yield


class Shown:
    """The running screen, as text."""

    def __init__(self, app: Top, pilot: Pilot[None], source: Scripted) -> None:
        self.app, self.pilot, self.source = app, pilot, source

    def grid(self, name: str) -> list[str]:
        """Return the lines of a table as they are drawn."""
        grid = self.app.screen_stack[0].query_one(f"#{name}", Grid)
        return [grid.render_line(y).text for y in range(grid.scrollable_content_region.height)]

    def text(self, name: str) -> str:
        """Return what stands in a line of text, and nothing where the line is not there."""
        line = self.app.screen_stack[0].query_one(f"#{name}", Static)
        return str(line.content) if line.display else ""

    def log(self) -> str:
        """Return the events."""
        return "\n".join(strip.text for strip in self.app.screen_stack[0].query_one("#log", RichLog).lines)

    def title(self) -> str:
        """Return the title of the models."""
        return str(self.app.screen_stack[0].query_one("#models").border_title)

    async def until(self, holds: Callable[[], object]) -> None:
        """Return when *holds* is true."""

        async def ask() -> bool:
            await self.pilot.pause()
            return bool(holds())

        await eventually(ask, what=f"{self.grid('models')} {self.log()}")

    async def panel(self) -> str:
        """Return the text of the panel that is open."""
        await self.until(
            lambda: isinstance(self.app.screen, Panel) and self.app.screen.query_one("#text", Static).content
        )
        return str(self.app.screen.query_one("#text", Static).content)


@asynccontextmanager
async def top(
    *pairs: Pair,
    size: tuple[int, int] = (160, 50),
    probe: Probe = no_probe,
    use_cases: tuple[str, ...] = ("chat",),
) -> AsyncIterator[Shown]:
    """Run the screen on a recommender that knows *pairs*, from when it shows all models."""
    source = Scripted(*pairs)
    feed = feed_of(source, winner_event(A, at=NOW), use_cases=use_cases)
    app = Top(feed=feed, source=source, probe=probe, every_s=0.02)
    async with app.run_test(size=size) as pilot:
        shown = Shown(app, pilot, source)
        known = len((await source.models()).models)
        await shown.until(lambda: f"Models {known:,}" in shown.title())
        yield shown


async def test_the_table_shows_what_was_replied() -> None:
    """Every model of a random catalogue in a line, with the figures of its reply."""
    async with top(*catalogue(Random(3), 40)[1], size=(200, 60)) as shown:
        titles, *lines = shown.grid("models")
        assert titles.split() == [
            "model",
            "▲",
            "status",
            "loaded",
            "tokens/s",
            "TTFT",
            "up",
            "24",
            "h",
            "probed",
        ]
        views = sorted((await shown.source.models()).models, key=lambda view: view.model)
        for view, line in zip(views, lines, strict=False):
            cells = row(view, NOW)
            assert line.split()[-len(" ".join(cells[1:]).split()) :] == " ".join(cells[1:]).split()
            assert line[2:].startswith(cells[0][:20])
            assert view.status.replace("_", " ") in line
        assert not any(line.strip() for line in lines[len(views) :])


async def test_what_changes_is_shown_and_so_is_the_winner() -> None:
    async with top(*FOUND, (3, probe_event(A, at=NOW, job_id="p"))) as shown:
        best = (await shown.source.best("chat", limit=1)).recommendation
        assert best is not None
        await shown.until(lambda: f"{best.score:.1f}" in shown.grid("winners")[1])
        winner = shown.grid("winners")[1].split()
        assert winner[1:4] == ["chat", str(best.model), f"{best.score:.1f}"]
        assert winner[4] != "-"  # since when
        shown.source.happen(benchmark_event(B, at=NOW, tps=77.0), probe_event(B, at=NOW, job_id="p"))
        await shown.until(lambda: "77.0" in shown.grid("models")[2])
        assert "available" in shown.grid("models")[2]
        assert "2 models: 2 available" in shown.text("summary")
        assert "box/b benchmarked: 77.0 tokens/s" in shown.log()


async def test_keys_sort_reverse_and_filter() -> None:
    fast, slow = (benchmark_event(ref, at=NOW, tps=tps) for ref, tps in ((B, 99.0), (A, 5.0)))
    async with top(*FOUND, (3, fast), (4, slow)) as shown:
        for _ in range(3):
            await shown.pilot.press("s")
        titles, first, second, *_ = shown.grid("models")
        assert "tokens/s ▼" in titles
        assert ("box/b" in first, "box/a" in second) == (True, True)
        await shown.pilot.press("S")
        assert "tokens/s ▲" in shown.grid("models")[0]
        assert "box/a" in shown.grid("models")[1]
        await shown.pilot.press("/", *"BOX/b")
        assert 'Models 1 of 2 · by tokens/s · filter "BOX/b"' in shown.title()
        assert "box/b" in shown.grid("models")[1]
        assert not shown.grid("models")[2].strip()
        await shown.pilot.press("enter")
        await shown.pilot.press("escape")
        assert "Models 2 ·" in shown.title()
        assert shown.app.query_one("#filter", Input).display is False


async def test_the_cursor_stays_on_its_model_when_rows_come_and_go() -> None:
    async with top(*FOUND) as shown:
        await shown.pilot.press("down")
        assert shown.app.query_one("#models", Grid).selected == B
        shown.source.happen(lifecycle_event("found", ModelRef("aaa", "first"), at=NOW))
        await shown.until(lambda: "aaa/first" in shown.grid("models")[1])
        assert shown.app.query_one("#models", Grid).selected == B
        assert shown.grid("models")[3].startswith("> box/b")


async def test_explain_shows_the_ranking_and_every_point() -> None:
    probes = [(n, probe_event(ref, at=NOW, job_id="p")) for n, ref in enumerate((A, B), 3)]
    async with top(*FOUND, *probes) as shown:
        await shown.pilot.press("e")
        text = await shown.panel()
        reply = await shown.source.explain("chat", limit=5)
        assert len(reply.recommendations) == 2
        for one in reply.recommendations:
            assert f"{one.model}: " in text
            assert f"{one.score:.1f}" in text
            for part in one.contributions:
                assert any(
                    line.split()[0] == part.signal and f"{part.points:.1f}" in line.split()
                    for line in text.splitlines()
                    if line.split()
                )
        await shown.pilot.press("escape")
        assert not isinstance(shown.app.screen, Panel)


async def test_probe_shows_its_progress_and_then_the_result() -> None:
    asked: list[tuple[ModelRef, str]] = []

    async def probe(model: ModelRef, group: str) -> AsyncIterator[Progress]:
        asked.append((model, group))
        yield Progress(job_id="1", at=NOW, state="started", message="box: listing")
        shown.source.happen(probe_event(model, at=NOW, job_id="manual"))
        yield Progress(job_id="1", at=NOW, state="done", message="box: 1 models probed")

    models = [ModelRef("host-0", "a"), ModelRef("host-0", "b")]
    found = [(n, lifecycle_event("found", ref, at=NOW)) for n, ref in enumerate(models, 1)]
    async with top(*found, probe=probe) as shown:
        await shown.pilot.press("down", "p")
        await shown.until(lambda: "probe done: box: 1 models probed" in shown.text("notice"))
        await shown.until(lambda: "available" in shown.grid("models")[2])
        group = next(
            view.group for view in (await shown.source.endpoints()).endpoints if view.endpoint == "host-0"
        )
        assert asked == [(models[1], group)]


async def test_a_probe_that_may_not_be_asked_for_says_why() -> None:
    found = (1, lifecycle_event("found", ModelRef("host-0", "a"), at=NOW))
    async with top(found) as shown:
        await shown.pilot.press("p")
        await shown.until(lambda: "cannot probe host-0/a: no operator" in shown.text("notice"))


async def test_a_restart_is_said_and_missed_changes_are_shown() -> None:
    async with top(*FOUND) as shown:
        shown.source.down = True
        await shown.until(lambda: "NO REPLY since" in shown.text("summary"))
        await shown.pilot.press("e")
        await shown.until(lambda: "cannot explain chat" in shown.text("notice"))
        shown.source.restart(benchmark_event(A, at=NOW, tps=77.0))
        await shown.until(lambda: "77.0" in shown.grid("models")[1])
        await shown.until(lambda: "NO REPLY" not in shown.text("summary"))
        assert "Vedette replies again" in shown.log()


@pytest.mark.parametrize("size", SIZES, ids=[f"{width}x{height}" for width, height in SIZES])
async def test_hostile_names_stay_text_in_their_line_on_every_screen(size: tuple[int, int]) -> None:
    """No markup, no control character, no line wider than the screen; a short name is there as it is."""
    models = [ModelRef("box", name) for name in HOSTILE]
    pairs = []
    for number, ref in enumerate(models):
        info = model_info(ref, kind="chat", capabilities={"chat": CHAT})
        pairs.append((2 * number + 1, lifecycle_event("found", ref, at=NOW, info=info)))
        pairs.append((2 * number + 2, probe_event(ref, at=NOW, job_id="p")))
    async with top(*pairs, size=size) as shown:
        shown.source.happen(*(benchmark_event(ref, at=NOW, tps=5.0) for ref in models))
        await shown.until(lambda: "5.0" in shown.grid("models")[1] or size[0] < 80)
        await shown.pilot.press("e")
        explained = await shown.panel()
        await shown.pilot.press("escape")
        seen: list[str] = []
        await shown.pilot.press("down")
        for _ in models:
            seen += shown.grid("models")
            await shown.pilot.press("down")
        seen += shown.grid("winners")
        assert all(cell_len(line) <= size[0] for line in seen)
        whole = "\n".join([*seen, *shown.log().splitlines(), *explained.splitlines(), shown.text("summary")])
        assert not [c for c in whole if not c.isprintable() and c != "\n"]
        assert "\u202e" not in whole
        assert "box/[red]red[/red]" in whole
        assert "box/[@click=app.quit]click[/]" in whole
        assert r"box/safe\u202eevil" in whole


@pytest.mark.parametrize("size", SIZES, ids=[f"{width}x{height}" for width, height in SIZES])
async def test_every_part_and_key_fits_a_small_terminal(size: tuple[int, int]) -> None:
    async with top(*catalogue(Random(3), 40)[1], size=size) as shown:
        for name in ("models", "winners", "log"):
            region = shown.app.query_one(f"#{name}").region
            assert region.height >= 3
            assert region.right <= size[0]
            assert region.bottom <= size[1] - 1
        assert "status" in shown.grid("models")[0]
        await shown.pilot.press("z")
        assert len(shown.grid("models")) >= size[1] - 4
        await shown.pilot.press("escape", "question_mark")
        assert "quit" in await shown.panel()
        await shown.pilot.press("escape", "tab", "tab", "q")


class Counted(Grid):
    """A table that tells which lines were drawn."""

    def __init__(self) -> None:
        super().__init__(id="counted", columns=(Column("model", 0, "name"), Column("figure")))
        self.drawn: list[int] = []

    def render_line(self, y: int) -> Strip:
        """Draw the line *y*."""
        self.drawn.append(y)
        return super().render_line(y)


class Alone(App[None]):
    """A screen with nothing but the table."""

    def compose(self) -> ComposeResult:
        """Yield the table."""
        yield Counted()


async def test_only_the_line_of_a_cell_that_changed_is_drawn() -> None:
    rows = {f"m{number}": (f"m{number}", "1") for number in range(500)}
    app = Alone()
    async with app.run_test(size=(40, 20)) as pilot:
        grid = app.query_one(Counted)
        grid.show(rows)
        await pilot.pause()
        grid.drawn.clear()
        grid.show(dict(rows))
        await pilot.pause()
        assert grid.drawn == []
        grid.show(rows | {"m3": ("m3", "2"), "m499": ("m499", "2")})
        await pilot.pause()
        assert grid.drawn == [4]
        assert "2" in grid.render_line(4).text


def test_without_textual_the_extra_and_the_command_that_installs_it_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = [name for name in sys.modules if name.startswith(("textual.", "vedette.cli.live.screen"))]
    for name in loaded:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(ConfigurationError, match=r"textual is not installed; install it \(.*tui.*--plain"):
        viewing.top(where=HERE)


def test_a_pipe_is_no_screen() -> None:
    with pytest.raises(ConfigurationError, match="needs a terminal; use --plain"):
        viewing.top(where=HERE)


def test_rows_show_a_dash_for_what_is_not_known() -> None:
    view = Scripted(*FOUND).view(A)
    assert row(replace(view, availability=None, performance=None, resident=None), NOW)[2:] == ("-",) * 5


async def test_models_at_an_endpoint_that_is_not_contacted_have_that_instead_of_a_status() -> None:
    """Also after a reply for one model, until the endpoint is resumed."""
    source, fleet = Scripted(*FOUND), Fleet()
    views = await source.models()
    here = EndpointView(
        endpoint=A.endpoint, provider="ollama", url="http://x", group="x", models=1, state=None
    )
    fleet.listed(views, [replace(here, origin=Origin(paused=Pause(since=NOW)))], NOW)
    assert fleet.rows[A][1] == "paused"
    fleet.add_view(A, source.view(A), NOW)
    assert fleet.rows[A][1] == "paused"
    fleet.listed(views, [here], NOW)
    assert fleet.rows[A][1] == source.view(A).status.replace("_", " ")
