"""The pages: an address each, rendered on the server; htmx asks for the part that changes."""

import gzip
import hashlib
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from vedette import __version__
from vedette.errors import NoAnswer, RequestError
from vedette.text import figures, rejected
from vedette.text.shown import shown, shown_name
from vedette.usecases import MEANS
from vedette_console import api, beats, body, parameters, problems
from vedette_console.access import SESSION_S, Caller
from vedette_console.addresses import dated, path_of, written
from vedette_console.beats import Beats
from vedette_console.changes import Listener
from vedette_console.guard import FORM_TOKEN, Guard, here, path_in
from vedette_console.screens import (
    compare,
    defining,
    endpoints,
    happened,
    judging,
    model,
    models,
    now,
    why,
    working,
)
from vedette_console.screens.context import Fresh, Sources, View

Screen = Callable[[View], Awaitable[dict[str, Any]]]
_FRESH_S: Final = 1.0  # for parts of pages, which all open pages of an address share
_HISTORY_FRESH_S: Final = 60.0
_PACKED: Final = 5  # gzip level, the same as for other replies
_VARY: Final = {"vary": "HX-Request"}
_VARY_PACKED: Final = {"vary": "HX-Request, Accept-Encoding"}
_MAX_FORM_BYTES: Final = 16_384
_MAX_FIELDS: Final = 16
_STATIC: Final = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "uplot.min.js": "text/javascript",
    "uplot.min.css": "text/css",
    "icon.svg": "image/svg+xml",
}


class Pages:
    """Serves the screens and the files that they need. Set `guard` before the first request."""

    guard: Guard

    def __init__(
        self,
        sources: Sources,
        enqueue: endpoints.Enqueue,
        definer: defining.Definer,
        judging: Callable[[], judging.Judging],
        log: Any,
    ) -> None:
        self._sources = sources
        self._judging = judging
        self._definer = definer
        self._enqueue = enqueue
        self._log = log
        self._static = {name: _file(name) for name in _STATIC}
        self._templates = _templates({name: _version(body) for name, body in self._static.items()})
        self._beats = Beats()
        self._parts = Fresh(_FRESH_S, sources.clock)
        self._histories = Fresh(_HISTORY_FRESH_S, sources.clock)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            self._screen("/", "now", lambda view: now.now(self._sources, view)),
            self._screen("/why/{use_case}", "why", lambda view: why.why(self._sources, view)),
            self._screen(
                "/models", "models", lambda view: models.models(self._sources, self._histories, view)
            ),
            self._screen("/models/{model:path}", "model", lambda view: model.model(self._sources, view)),
            self._screen("/compare", "compare", lambda view: compare.compare(self._sources, view)),
            self._screen("/endpoints", "endpoints", lambda view: endpoints.endpoints(self._sources, view)),
            self._screen(
                "/define", "define", lambda view: defining.define(self._sources, self._definer, view)
            ),
            Route("/define", self._define, methods=["POST"]),
            self._screen(
                "/judge/{use_case}",
                "judge",
                lambda view: judging.judge(self._sources, self._judging(), view),
            ),
            Route("/judge/{use_case}", self._judge, methods=["POST"]),
            self._screen("/jobs", "jobs", self._jobs),
            self._screen("/changes", "changes", lambda view: happened.changes(self._sources, view)),
            Route("/series/{model:path}", self._series),
            Route("/live", self._live),
            Route("/work", self._work, methods=["POST"]),
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/static/{name}", self._file),
        ]

    async def _jobs(self, view: View) -> dict[str, Any]:
        only_running = view.get("running") == "1"
        return working.jobs(self._sources, model=view.get("model"), only_running=only_running)

    def _screen(self, path: str, name: str, screen: Screen) -> Route:
        async def handle(request: Request) -> Response:
            if not _is_part(request):
                return self._page(request, name, await screen(_view(request)))

            async def part() -> _Part:
                return _Part(self._text(request, name, await screen(_view(request))))

            # Open pages refresh at a beat, so the key has its number: no page gets a part from before its beat.
            caller: Caller = request.state.caller
            alike = self._beats.number, here(request), caller.role, caller.session if caller.may_act else None
            made = await self._parts.get(alike, part)
            return made.response(request)

        return Route(path, handle)

    def _page(self, request: Request, name: str, values: dict[str, Any], status: int = 200) -> Response:
        """Return the page *name*, or only its changing part where htmx asks for that."""
        return Response(self._text(request, name, values), status, _VARY, media_type="text/html")

    def _text(self, request: Request, name: str, values: dict[str, Any]) -> str:
        template = self._templates.get_template(f"_{name}.html" if _is_part(request) else f"{name}.html")
        caller: Caller = request.state.caller
        return template.render(
            {"at": None, "unknown": (), **values},
            path=path_in(request),
            rest=[(key, value) for key, value in request.query_params.multi_items() if key != "at" and value],
            screen=name,
            here=here(request),
            caller=caller,
            may_log_in=self.guard.keys.has_operator or not self.guard.keys.open,
            form_token=request.state.form_token,
            form_field=FORM_TOKEN,
            use_cases=self._sources.use_cases(),
        )

    def _problem(self, request: Request, error: RequestError, status: int | None = None) -> Response:
        problem = problems.of(error, status)
        past = "at" in request.query_params
        hint = ""
        if isinstance(error, NoAnswer):
            asked = "recommender and a recorder" if past else "recommender"
            hint = f'Is a {asked} running? "vedette doctor" says.'
        values = {"problem": problem, "hint": hint, "past": past, "again": request.method == "GET"}
        return self._page(request, "error", values, problem.status)

    async def missing(self, request: Request, error: Exception) -> Response:
        """Return the response for an unknown address (404), or for a method that it does not have (405)."""
        status = error.status_code if isinstance(error, HTTPException) else 404
        code, said = (
            ("not_found", "no page") if status == 404 else ("not_allowed", f"{request.method} is not allowed")
        )
        detail = f"{said} at {request.url.path}"
        if request.url.path.startswith("/api/"):
            return problems.response(status, code, detail)
        return self._problem(request, RequestError(code=code, message=detail), status)

    async def refused(self, request: Request, error: Exception) -> Response:
        """Return *error* as a page, or as problem+json for the HTTP API."""
        assert isinstance(error, RequestError)  # noqa: S101 - registered for it alone
        if request.url.path.startswith(("/api/", "/series/")):
            return problems.respond(error)
        return self._problem(request, error)

    async def failed(self, request: Request, error: Exception) -> Response:
        """Log the error, and return a page that reports it."""
        self._log.error("request.failed", path=request.url.path, exc_info=error)
        problem = RequestError(code="internal", message="the console could not answer; its log says why")
        if request.url.path.startswith(("/api/", "/series/")):
            return problems.respond(problem)
        try:
            return self._problem(request, problem)
        except Exception as again:  # noqa: BLE001 - the error may be in a part of all pages
            self._log.error("request.failed", path=request.url.path, exc_info=again)
            return problems.respond(problem)

    async def _series(self, request: Request) -> Response:
        found = await model.series(self._sources, _view(request))
        return api.tagged(msgspec.json.encode(found), request)

    async def _live(self, request: Request) -> Response:
        """Send the kinds of events at each beat. Parts of pages that show them then refresh."""

        async def parts(listener: Listener) -> AsyncIterator[bytes]:
            yield b"retry: 1000\n\n"
            async for kinds in beats.kinds_at_beats(listener, self._beats):
                yield (
                    api.message("changed", msgspec.json.encode(sorted(kinds))) if kinds else api.SIGN_OF_LIFE
                )

        return api.EventStream(self._sources.changes, parts, beats.kind_of)

    async def _work(self, request: Request) -> Response:
        form = await self._operators_form(request, "start jobs")
        await endpoints.request_job(
            self._sources, self._enqueue, form.get("kind", ""), form.get("target", "")
        )
        if request.headers.get("hx-request") == "true":
            return self._page(request, "jobs", await self._jobs(_view(request)))
        return RedirectResponse("/endpoints", status_code=303)

    async def _define(self, request: Request) -> Response:
        form = await self._operators_form(request, "change endpoints")
        await defining.submit(self._sources, self._definer, form)
        return RedirectResponse("/endpoints", status_code=303)

    async def _judge(self, request: Request) -> Response:
        await self._operators_form(request, "have a judge compare texts")
        use_case = request.path_params["use_case"]
        await judging.begin(self._sources, self._judging(), self._enqueue, use_case)
        return RedirectResponse(f"/judge/{use_case}", status_code=303)

    async def _operators_form(self, request: Request, purpose: str) -> dict[str, str]:
        """Return the fields of a form. Raises RequestError if it is invalid or the caller is not an operator."""
        form = await _form(request)
        caller: Caller = request.state.caller
        if not caller.may_act or not self.guard.may_submit(request, form.get(FORM_TOKEN)):
            raise RequestError(code="not_allowed", message=f"log in with the operator's token to {purpose}")
        return form

    async def _login(self, request: Request) -> Response:
        to = request.query_params.get("to", "/")
        if request.method == "GET":
            return self._page(request, "login", {"to": to, "refused": False})
        form = await _form(request)
        role = self.guard.role_of(
            form.get("token", "").strip(), request.client.host if request.client else ""
        )
        if role is None:
            return self._page(request, "login", {"to": to, "refused": True}, 403)
        response = RedirectResponse(to if to.startswith("/") and not to.startswith("//") else "/", 303)
        response.set_cookie(
            self.guard.cookie,
            self.guard.begin(role),
            max_age=SESSION_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def _logout(self, request: Request) -> Response:
        response = RedirectResponse("/", status_code=303)
        response.delete_cookie(self.guard.cookie, httponly=True, samesite="strict")
        return response

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._static:
            return Response("no such file\n", 404, media_type="text/plain")
        # Addresses contain the version of the file, so the content of an address never changes.
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(self._static[name], media_type=_STATIC[name], headers=headers)


class _Part:
    """A part of a page, compressed once for all open pages."""

    def __init__(self, text: str) -> None:
        self._text = text.encode()
        self._packed = gzip.compress(self._text, _PACKED)

    def response(self, request: Request) -> Response:
        """Return the response to *request*, compressed if its client accepts gzip."""
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(self._text, headers=_VARY_PACKED, media_type="text/html")
        headers = {**_VARY_PACKED, "content-encoding": "gzip"}
        return Response(self._packed, headers=headers, media_type="text/html")


def _is_part(request: Request) -> bool:
    """Return whether htmx asks for the part of a page that changes."""
    return request.headers.get("hx-request") == "true" and request.headers.get("hx-boosted") != "true"


def _view(request: Request) -> View:
    return View(
        pairs=tuple(request.query_params.multi_items()),
        path={name: str(value) for name, value in request.path_params.items()},
        caller=request.state.caller,
    )


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form; none if the body has another type. Raises RequestError if it is too large."""
    if (
        request.headers.get("content-type", "").partition(";")[0].strip()
        != "application/x-www-form-urlencoded"
    ):
        return {}
    sent = await body.read(request, _MAX_FORM_BYTES)
    try:
        return dict(parse_qsl(sent.decode("utf-8", "replace"), max_num_fields=_MAX_FIELDS))
    except ValueError:
        message = f"a form has at most {_MAX_FIELDS} fields"
        raise RequestError(code="too_large", message=message) from None


def _file(name: str) -> bytes:
    return (files("vedette_console") / "static" / name).read_bytes()


def _version(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=6).hexdigest()


def _templates(versions: dict[str, str]) -> Environment:
    """Return the templates. They escape all texts, and show invisible characters."""
    made = Environment(
        loader=PackageLoader("vedette_console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    made.filters |= {
        "name": shown_name,
        "number": figures.number,
        "ms": figures.ms,
        "percent": figures.percent,
        "times": figures.times,
        "ago": figures.ago,
        "duration": figures.duration,
        "counted": figures.counted,
        "plural": figures.plural,
        "size": figures.size,
        "tokens": figures.tokens,
        "means": lambda use_case: MEANS.get(use_case, ""),
        "words": lambda text: str(text).replace("_", " "),
        "rejected": rejected.in_words,
        "when": _when,
        "short": _short,
        "clock": _clock,
        "plain": _plain,
        "moment": lambda at: at.astimezone(UTC).isoformat(timespec="seconds") if at else "",
        "model_path": path_of,
        "dated": dated,
        "stamp": written,
        "local": lambda at: written(at)[:16] if at else "",
        "exact": _exact,
        "shell": shlex.quote,
        "query": parameters.query,
    }
    made.globals |= {
        "static": lambda name: f"/static/{name}?v={versions[name]}",
        "version": __version__,
    }
    return made


def _visible(value: object) -> object:
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _exact(value: str) -> Markup:
    """Return *value*, escaped, for an attribute that a browser sends back: invisible characters stay as they are."""
    return Markup("".join(one if one.isascii() and one.isalnum() else f"&#{ord(one)};" for one in value))  # noqa: S704


def _when(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "-"


def _plain(value: object) -> str:
    """Return a value of a reply for a sentence or a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, int | float):
        return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}"
    if isinstance(value, datetime):
        return _when(value)
    return str(value)


def _clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%H:%M:%S UTC")


def _short(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%d %b %H:%M UTC")
