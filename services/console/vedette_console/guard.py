"""Checks of every request: host, rate limit and caller. And the headers of every response."""

import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vedette.runtime.origins import Hosts, Rate, is_cross_site, is_within
from vedette.settings import Console
from vedette_console import problems
from vedette_console.access import Caller, Keys, Role

COOKIE: Final = "vedette_session"
FORM_TOKEN: Final = "form_token"  # noqa: S105 - the name of a field
FORM_HEADER: Final = "x-vedette-form"
_OPEN: Final = ("/static/", "/login")  # for callers who are not logged in yet
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Passes a request on to *app*, with `caller` and `form_token` in its state, or refuses it."""

    def __init__(self, app: ASGIApp, *, settings: Console, keys: Keys, now: Callable[[], float]) -> None:
        self._app = app
        self._settings = settings
        self.keys = keys
        self._now = now
        self._hosts = Hosts(settings.host, settings.hosts)
        self._any_host = (
            not settings.hosts and not keys.open
        )  # cookies belong to one host name, so other sites do not get a session
        self._rate = Rate(burst=400, per_s=100)
        self._wrong = Rate(burst=5, per_s=1 / 12)  # tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, and add headers to its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        response = self._refusal(request)
        await (response or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """Return the response that refuses *request*, or None. In its state, it then has the caller."""
        path, host = request.url.path, request.headers.get("host", "")
        if not (self._any_host or self._hosts.allows(host)):
            return problems.response(
                421, "wrong_host", f'no page is served as "{host}"; add it to [console] hosts if it is yours'
            )
        if is_cross_site(request.headers, host) and not _is_followed_link(request):
            return problems.response(403, "cross_site", "this request came from another site")
        address = request.client.host if request.client else ""
        if wait_s := self._rate.wait_s(address, self._now()):
            return problems.too_many(wait_s)
        if wait_s := self._wrong.left_s(address, self._now()):
            return problems.too_many(wait_s)
        caller = self.caller(request.headers, address)
        request.state.caller = caller
        request.state.form_token = self.keys.form_token(caller.session) if caller.session else ""
        if not caller.may_look and not path.startswith(_OPEN):
            if path.startswith("/api/"):
                return problems.response(
                    401, "no_token", "send the token of [console] as: Authorization: Bearer TOKEN"
                )
            return RedirectResponse(f"/login?to={quote(here(request), safe='/')}", status_code=303)
        return None

    def caller(self, headers: Headers, address: str) -> Caller:
        """Return the caller of a request with *headers* from *address*."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.casefold() == "bearer":
            return Caller(self.role_of(token.strip(), address))
        session = self._session(headers)
        if session and (role := self.keys.role_in(session, self._now())):
            return Caller(role, session)
        return Caller(self._without_token(headers, address))

    @property
    def cookie(self) -> str:
        """The name of the cookie. It has the port, because browsers send cookies to all ports of a host."""
        return f"{COOKIE}_{self._settings.port or 0}"

    def _session(self, headers: Headers) -> str | None:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return None
        return found.value if found else None

    def _without_token(self, headers: Headers, address: str) -> Role | None:
        if self.keys.open:
            return "viewer"
        header, proxies = self._settings.trusted_header, self._settings.trusted_proxies
        trusted = header is not None and is_within(address, proxies) and headers.get(header)
        return "viewer" if trusted else None

    def may_submit(self, request: Request, form_token: str | None) -> bool:
        """Return whether *request* comes from a form of this console: other sites do not have the form token.

        A caller without a session needs no form token.
        """
        caller: Caller = request.state.caller
        given = request.headers.get(FORM_HEADER) or form_token or ""
        return caller.session is None or self.keys.is_form_token(given, caller.session)

    def role_of(self, token: str, address: str) -> Role | None:
        """Return the role of *token*; a wrong token counts against *address*."""
        role = self.keys.role_of(token)
        if role is None:
            self._wrong.wait_s(address, self._now())
        return role

    def begin(self, role: Role) -> str:
        """Return a new session of *role*."""
        return self.keys.session(role, self._now(), secrets.token_hex(8))


def _is_followed_link(request: Request) -> bool:
    """Return whether a person followed a link on another site, which sends only the address."""
    return request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"


def path_in(request: Request) -> str:
    """Return the path of *request* as it was sent: a slash in a name stays escaped."""
    raw: bytes | None = request.scope.get("raw_path")
    return raw.decode("ascii", "replace") if raw else quote(request.url.path)


def here(request: Request) -> str:
    """Return the address of *request* on this console."""
    path = path_in(request)
    return f"{path}?{request.url.query}" if request.url.query else path
