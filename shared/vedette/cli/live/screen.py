"""The screen of `vedette top`."""

import io
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import ClassVar

import nats.errors
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.events import Resize
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Footer, Input, RichLog, Static

from vedette.cli.live.feed import Feed, Source
from vedette.cli.live.fleet import MODELS, WINNERS, Order, ordered, summary, winner_rows
from vedette.cli.live.grid import Grid
from vedette.cli.output import Screen, one_line, styled
from vedette.cli.showing import show_explanation, show_ranking
from vedette.cli.watching import STATUS_STYLES
from vedette.errors import VedetteError
from vedette.messages.events import Progress
from vedette.text.shown import shown_name
from vedette.types import ModelRef

# Probes a model (its reference and its host group) and yields the progress. Raises VedetteError.
Probe = Callable[[ModelRef, str], AsyncIterator[Progress]]
_MAX_LINES_A_DRAW = 100
_MAX_EXPLAINED = 5
_NOTICE_S = 10.0
_STYLES = {status.replace("_", " "): style for status, style in STATUS_STYLES.items()}
_KEYS = (
    ("tab", "go to the next part: models, winners, events"),
    ("↑ ↓ PgUp PgDn", "select a row"),
    ("s", "sort the models by the next column"),
    ("S", "reverse the order"),
    ("/", "filter by words of endpoint/name and status; Esc clears"),
    ("e", "explain the selected use case: ranking and points"),
    ("p", "probe the selected model now (as operator)"),
    ("z", "show one part alone; Esc shows all"),
    ("?", "this help"),
    ("q", "quit"),
)
_LEGEND = """
A dash is a figure that is not known.
loaded: whether the model is in its server's memory.
up 24 h: share of the probes of a day that found it up.
probed: time of the last probe.
since: when the winner was announced.
Winner and score are those that "vedette recommend" shows."""


class Panel(ModalScreen[None]):
    """A text over the screen. Any key closes it."""

    DEFAULT_CSS = """
    Panel { align: center middle; }
    Panel > VerticalScroll {
        width: 94%; height: 90%; border: round $accent; background: $surface; padding: 0 1;
        scrollbar-size-vertical: 1; scrollbar-gutter: stable;
    }
    .-narrow Panel > VerticalScroll, Panel.-narrow > VerticalScroll { width: 100%; height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,e,question_mark", "dismiss", "Close"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, write: Callable[[Screen], None]) -> None:
        super().__init__()
        self._title = title
        self._write = write

    def compose(self) -> ComposeResult:
        """Yield the text."""
        with VerticalScroll() as around:
            around.border_title = Text(self._title)
            around.border_subtitle = Text("Esc closes")
            yield Static(id="text", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_resize(self, _: Resize) -> None:
        """Write the text again, folded to the width."""
        self.call_after_refresh(self._write_text)

    def _write_text(self) -> None:
        written = io.StringIO()
        width = max(20, self.query_one(VerticalScroll).scrollable_content_region.width)
        self._write(Screen(file=written, width=width, force_terminal=True, color_system="standard"))
        self.query_one("#text", Static).update(Text.from_ansi(written.getvalue()))

    def action_scroll(self, lines: int) -> None:
        """Scroll by this number of *lines*."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


class Top(App[None]):
    """The fleet, the winners and the events, drawn at most once in *every_s*."""

    TITLE = "vedette top"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (150, "-wide")]  # noqa: RUF012 - annotated by App
    VERTICAL_BREAKPOINTS = [(0, "-low"), (23, "-medium"), (34, "-tall")]  # noqa: RUF012
    CSS = """
    #summary { height: 1; text-wrap: nowrap; text-overflow: ellipsis; text-style: bold; padding: 0 1; }
    #parts { height: 1fr; }
    #parts > * { border-top: solid $primary; border-title-align: left; background: $background; }
    #parts > *:focus { border-top: heavy $accent; border-title-style: bold; }
    #models { height: 1fr; }
    #winners { height: 5; }
    #log { height: 4; scrollbar-size-vertical: 1; overflow-x: hidden; }
    .-medium #winners { height: 8; }
    .-medium #log { height: 5; }
    .-tall #winners { height: 13; }
    .-tall #log { height: 10; }
    .-wide #parts { layout: grid; grid-size: 2; grid-columns: 1fr 62; grid-rows: 1fr 12; grid-gutter: 0 1; }
    .-wide #winners { height: 1fr; }
    .-wide #log { height: 1fr; column-span: 2; }
    .-wide.-low #parts, .-wide.-medium #parts { grid-rows: 1fr 6; }
    #notice { height: 1; display: none; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    #filter { height: 1; border: none; display: none; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort"),
        Binding("S", "reverse", "Reverse", key_display="S"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("e,enter", "explain", "Explain", key_display="e"),
        Binding("p", "probe", "Probe"),
        Binding("z", "zoom", "Zoom"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("escape", "clear", show=False),
    ]

    def __init__(self, *, feed: Feed, source: Source, probe: Probe, every_s: float = 1.0) -> None:
        super().__init__()
        self.feed = feed
        self.animation_level = "none"
        self._source = source
        self._probe = probe
        self._every_s = every_s
        self._order = Order()
        self._filter = ""
        self._drawn = -1  # the version of the fleet on the screen
        self._logged = 0
        # References, not lookups: the last round may run after the widgets were removed from the screen.
        self._models = Grid(id="models", columns=MODELS, style=_style)
        self._winners = Grid(id="winners", columns=WINNERS)
        self._events = RichLog(id="log", max_lines=1000, wrap=True, min_width=1)
        self._summary = Static(id="summary", markup=False)
        self._notice = Static(id="notice", markup=False)
        self._field = Input(id="filter", placeholder="words of endpoint/name and status", compact=True)
        self._hiding: Timer | None = None
        self._shown: dict[Static | Grid, tuple[str, str]] = {}  # the text that `_put` set in each widget
        self._probing: set[ModelRef] = set()

    def compose(self) -> ComposeResult:
        """Yield the widgets."""
        yield self._summary
        yield Container(self._models, self._winners, self._events, id="parts")
        yield self._notice
        yield self._field
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Begin to follow the fleet."""
        self._winners.border_title = "Winners"
        self._events.border_title = "Events"
        self._models.focus()
        self._draw()
        self.run_worker(self.feed.run())
        self.set_interval(self._every_s, self._draw)

    # --- Drawing -----------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        """Draw what has changed."""
        self._draw_log()
        if self._drawn != self.feed.fleet.version:
            self._drawn = self.feed.fleet.version
            self._draw_fleet()

    def _draw_fleet(self) -> None:
        fleet, now = self.feed.fleet, self.feed.clock.now()
        models = ordered(fleet.views.values(), self._order, self._filter)
        columns = list(MODELS)
        sorted_by = columns[self._order.column]
        arrow = "▼" if self._order.descending else "▲"
        columns[self._order.column] = sorted_by._replace(title=f"{sorted_by.title} {arrow}", rank=0)
        self._models.show({model: fleet.rows[model] for model in models}, columns)
        self._put(self._models, self._title_of_models(len(models), len(fleet.views)))
        self._winners.show(winner_rows(fleet, now))
        self._put(self._summary, summary(fleet), "" if fleet.silent_since is None else "red")

    def _put(self, place: Static | Grid, text: str, style: str = "") -> None:
        """Show *text* at *place*, unless it is there already: Textual redraws everything around a change."""
        if self._shown.get(place) == (text, style):
            return
        self._shown[place] = text, style
        if isinstance(place, Static):
            place.update(styled((text, style)))
        else:
            place.border_title = styled((text, style))

    def _title_of_models(self, matching: int, known: int) -> str:
        number = f"{matching:,} of {known:,}" if self._filter else f"{known:,}"
        filtered = f' · filter "{one_line(self._filter)}"' if self._filter else ""
        return f"Models {number} · by {MODELS[self._order.column].title}{filtered}"

    def _draw_log(self) -> None:
        log = self.feed.log
        if log.total != self._logged:
            for line in log.since(self._logged, _MAX_LINES_A_DRAW):
                self._events.write(line)
            self._logged = log.total

    def on_resize(self, _: Resize) -> None:
        """Write the log again, folded to the new width."""
        self._events.clear()
        self._logged = max(0, self.feed.log.total - _MAX_LINES_A_DRAW)
        self.call_after_refresh(self._draw_log)

    def _notify(self, text: str, style: str = "") -> None:
        self._notice.display = True
        self._put(self._notice, text, style)
        if self._hiding is not None:
            self._hiding.stop()
        self._hiding = self.set_timer(_NOTICE_S, self._hide_notice)

    def _hide_notice(self) -> None:
        self._notice.display = False

    # --- Keys --------------------------------------------------------------------------------------------------

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._sort(self._order.next())

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._sort(self._order._replace(reverse=not self._order.reverse))

    def _sort(self, order: Order) -> None:
        self._order = order
        self._draw_fleet()
        self._models.action_first()

    def action_filter(self) -> None:
        """Ask for a filter."""
        self._field.display = True
        self._field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show the models that match what is typed."""
        self._filter = event.value
        self._draw_fleet()

    def on_input_submitted(self, _: Input.Submitted) -> None:
        """Keep the filter, and go back to the models."""
        self._field.display = False
        self._models.focus()

    def action_clear(self) -> None:
        """Show all parts and all models."""
        if self.screen.maximized is not None:
            self.screen.minimize()
            return
        self._field.value = ""
        self._field.display = False
        self._models.focus()

    def action_zoom(self) -> None:
        """Show the focused part alone, or all again."""
        if self.screen.maximized is not None:
            self.screen.minimize()
        elif self.screen.focused is not None:
            self.screen.maximize(self.screen.focused, container=False)

    def action_help(self) -> None:
        """Show the keys."""

        def write(screen: Screen) -> None:
            for key, what in _KEYS:
                screen.print(styled((f"{key:14}", "bold"), what))
            screen.print(_LEGEND)

        self.push_screen(Panel("Help", write))

    def action_explain(self) -> None:
        """Explain the winner of the selected use case."""
        use_case = self._winners.selected
        if isinstance(use_case, str):
            self.run_worker(self._explain(use_case), group="explain", exclusive=True)

    async def _explain(self, use_case: str) -> None:
        try:
            reply = await self._source.explain(use_case, limit=_MAX_EXPLAINED)
        except (VedetteError, nats.errors.Error) as error:
            self._notify(f"cannot explain {use_case}: {error}", "red")
            return

        def write(screen: Screen) -> None:
            show_ranking(reply.recommendations, screen)
            screen.print()
            show_explanation(reply, screen)

        self.push_screen(Panel(f"Explain {one_line(use_case)}", write))

    def action_probe(self) -> None:
        """Probe the selected model."""
        model = self._models.selected
        if not isinstance(model, ModelRef) or model in self._probing:
            return
        group = self.feed.fleet.group(model.endpoint)
        if group is None:
            self._notify(f"cannot probe {shown_name(model)}: its endpoint is not known", "red")
            return
        self._probing.add(model)
        self.run_worker(self._do_probe(model, group), group="probe")

    async def _do_probe(self, model: ModelRef, group: str) -> None:
        try:
            async with aclosing(self._probe(model, group)) as all_progress:  # type: ignore[type-var]
                async for progress in all_progress:
                    state = progress.shown_state
                    self._notify(f"probe {state}: {progress.message}", "red" if state == "failed" else "")
        except (VedetteError, nats.errors.Error) as error:
            self._notify(f"cannot probe {shown_name(model)}: {error}", "red")
        finally:
            self._probing.discard(model)
        self.feed.refresh(model)


def _style(title: str, text: str) -> str:
    return _STYLES.get(text.removesuffix(" (stale)"), "") if title.startswith("status") else ""
