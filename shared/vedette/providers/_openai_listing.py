"""Reads the listing of a server with OpenAI's protocol, and finds out its flavour and base URL."""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import quote

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers import Listing
from vedette.providers._entries import is_offered
from vedette.providers._flavours import (
    FLAVOURS,
    GENERIC,
    LITELLM,
    LLAMA_CPP_PYTHON,
    Flavour,
    detect,
    likely,
)
from vedette.providers._gateways import Routes, gateway, routes
from vedette.providers._http import Http
from vedette.providers._lenient import is_name, listings, mapping, sequence, text
from vedette.providers._native import listed_by_info
from vedette.providers._outcomes import without_status
from vedette.providers._prices import with_unit_of_listing
from vedette.providers._refusals import in_stream, said
from vedette.types import Outcome

T = TypeVar("T")
_MAX_PAGES: Final = 100
_MAX_ENTRIES: Final = 50_000  # of one listing, before `exclude`; each takes about 0.1 ms to read
_NAME_SOME: Final = 'name those that you use: models = ["…"] under its [endpoints.<name>]; or correct its url'
_QUIET_ANSWERS_S: Final = 2.0  # enough, because the path at `quiet` takes no lock
# Outcomes of a listing request to a server without a listing.
_NO_LISTING: Final = frozenset({Outcome.NOT_FOUND, Outcome.UNSUPPORTED, Outcome.GARBAGE})
# Outcomes of a request for a path that does not exist, or that this key may not use (LocalAI's `/system`).
SWITCHED_OFF: Final = frozenset(
    {Outcome.NOT_FOUND, Outcome.UNSUPPORTED, Outcome.AUTH_FAILED, Outcome.FORBIDDEN}
)
# Outcomes of an optional request that are ignored: the model then has fewer facts.
_NO_FACTS: Final = SWITCHED_OFF | {Outcome.BAD_REQUEST, Outcome.SERVER_ERROR, Outcome.GARBAGE}

# Outcomes of a request to a server that has the path, but not the answer at the moment.
_FOR_NOW: Final = frozenset(
    {Outcome.SERVER_ERROR, Outcome.BUSY, Outcome.LOADING, Outcome.TIMEOUT, Outcome.RATE_LIMITED}
)


class OpenAIListing:
    """The listing of one server. `read` and `recall` set `entries`, `flavour` and `prefix`.

    *given* is the configured flavour, if any. *own*: the server is on a machine of your own. *prefixes* are tried
    before the paths of the protocol, the likeliest first. *named* are the configured models, for a server without a
    listing.
    """

    def __init__(
        self,
        http: Http,
        *,
        given: Flavour | None,
        own: bool,
        prefixes: tuple[str, ...],
        named: tuple[str, ...],
        clock: Clock,
    ) -> None:
        self.given = given
        self.flavour = given or GENERIC
        self.entries: dict[str, Mapping[str, Any]] = {}  # by name
        self.native: dict[str, Mapping[str, Any]] = {}  # by name: entries of the server's own listing
        # `flavour` and `native` at the last listing.
        self._described: tuple[Flavour, dict[str, Mapping[str, Any]]] = GENERIC, {}
        self.passed_on: str | None = None  # why the server is taken for a gateway
        self.routes = Routes()
        self.named = named
        self._http = http
        self._own = own
        self._clock = clock
        self._prefixes = prefixes  # first the prefix that worked last, then the likeliest
        self._is_placed = len(prefixes) == 1  # whether the first prefix is known to be right
        self._native_path: str | None = None  # `native_before`, if the server is an older version

    @property
    def prefix(self) -> str:
        """The prefix before the paths of the protocol: the known one, else the likeliest."""
        return self._prefixes[0]

    async def path(self, path: str) -> str:
        """Return *path* with the right prefix. Reads the listing first if the prefix is not known."""
        if not self._is_placed:
            await self.read()
        return f"{self.prefix}{path}"

    def likely(self, server: str | None) -> Flavour:
        """Return the flavour before a listing was read: the configured one, else that of the product *server*.

        *server* is the product that the last contact found.
        """
        known = (one for one in (*FLAVOURS, LITELLM) if one.name == server)
        return self.given or next(known, GENERIC)

    async def recall(self, server: str | None, names: Sequence[str]) -> list[Listing] | None:
        """Return *names* as a listing if a listing request would disturb *server* and the server still runs.

        None: request the listing. Raises ProviderError if the server is unreachable.
        """
        flavour = self.likely(server)
        if not names or not await self._is_quietly(flavour):
            return None
        self.flavour = flavour
        self.entries = {name: {"id": name} for name in names}
        return [Listing(name=name) for name in names]

    async def _is_quietly(self, flavour: Flavour, *, deadline_s: float | None = None) -> bool:
        """Return whether the server has the OpenAPI document of *flavour*. Raises ProviderError if unreachable."""
        if flavour.quiet is None:
            return False
        try:
            page, _ = await self._http.call("GET", flavour.quiet, deadline_s=deadline_s)
        except ProviderError as error:
            if error.outcome in _NO_LISTING:
                return False
            raise
        return flavour.titled in (text(mapping(mapping(page).get("info")).get("title")) or "")

    async def read(self) -> list[Listing]:
        """Read all pages of the listing; find out the server's flavour and base URL; return the models.

        The configured models are added. Without them, raises ProviderError if the server has no listing, or too long
        a one. Other failures always raise ProviderError.
        """
        try:
            entries, headers = await self._pages()
        except ProviderError as error:
            if error.outcome is not Outcome.TOO_LARGE:
                raise
            if not self.named:
                raise ProviderError(
                    error.outcome, error.detail, exchange=error.exchange, remedy=_NAME_SOME
                ) from error
            entries, headers = [], {}
        listed = {entry["id"] for entry in entries}
        entries += [{"id": name} for name in self.named if name not in listed]
        now = self._clock.now()
        await self._recognise(entries, headers)
        offered = [entry for entry in entries if is_offered(entry, now) and self._is_served(entry)]
        if (
            self.flavour.lists_more
            and (held := await self.held({entry["id"] for entry in offered})) is not None
        ):
            offered = [entry for entry in offered if entry["id"] in {*held, *self.named}]
        self.entries = {entry["id"]: entry for entry in with_unit_of_listing(offered)}
        return list(listings(Listing(name=entry["id"]) for entry in offered))

    async def _pages(self) -> tuple[list[Mapping[str, Any]], Mapping[str, str]]:
        """Return the entries of all pages, and the headers of the last. Raises ProviderError."""
        entries: list[Mapping[str, Any]] = []
        body, headers = await self._first_page()
        for _ in range(_MAX_PAGES):
            page, known = mapping(body), {entry["id"] for entry in entries}
            entries += (found := _named(_listed(body)))
            _refuse_more(len(entries))
            last = text(page.get("last_id"), 512)
            brought = any(entry["id"] not in known for entry in found)  # False: the server ignores `after`
            if page.get("has_more") is not True or last is None or not brought:
                break
            body, headers = await self._http.call(
                "GET", await self.path(f"models?after={quote(last, safe='')}")
            )
        return entries, headers

    async def _recognise(self, entries: list[Mapping[str, Any]], headers: Mapping[str, str]) -> None:
        """Set the flavour from *entries* and *headers*, read the server's own listing; set `passed_on` and `routes`."""
        before, known = self._described
        self.flavour = self.given or detect(entries, headers.get("Server", ""))
        if self.flavour is GENERIC and self.given is None and (flavour := likely(entries, headers)):
            await self._try(flavour, known if flavour is before else {})
        else:
            self.native = await self._natively(self.flavour, known if self.flavour is before else {})
        self._described = self.flavour, self.native
        self.passed_on, self.routes = None if self.given else gateway(entries, headers), routes(entries)

    async def _try(self, flavour: Flavour, before: dict[str, Mapping[str, Any]]) -> None:
        """Set *flavour* if the server has the own listing of that flavour, else GENERIC. *before*: see `_natively`."""
        self.native = {}
        with suppress(ProviderError):  # any failure means another server
            self.native = await self._natively(flavour, before)
        self.flavour = flavour if self.native else GENERIC

    def _is_served(self, entry: Mapping[str, Any]) -> bool:
        """Return whether a listed name is a model: not made from a wildcard (LiteLLM), or configured by name."""
        guess = self.native.get(entry["id"], {}).get("guess") is True
        return not guess or entry["id"] in self.named

    async def _first_page(self) -> tuple[Any, Mapping[str, str]]:
        """Return the first page of the listing and its headers, under the first prefix that has a listing.

        Each call may try every prefix, because another server may use the port now. Raises ProviderError.
        """
        refusals: list[ProviderError] = []
        for prefix in self._prefixes:
            try:
                body, headers = await self._http.call("GET", f"{prefix}models")
                if (listed := _listed(body)) and not _named(listed):
                    raise ProviderError(Outcome.GARBAGE, f"/{prefix}models lists entries without a name")
            except ProviderError as error:
                if error.outcome is Outcome.TIMEOUT and self._own and await self._computes():
                    problem = f"{LLAMA_CPP_PYTHON.name} lists its models only while it is idle"
                    raise ProviderError(Outcome.BUSY, problem) from error
                if error.outcome is Outcome.TOO_LARGE:
                    self._place(prefix)
                if error.outcome not in _NO_LISTING:
                    raise
                refusals.append(error)
                if prefix and error.outcome is not Outcome.NOT_FOUND:
                    break  # the path exists, so the listing is not at the root
                continue
            self._place(prefix)
            return body, headers
        if not self.named:
            return await self._by_info(refusals)
        self._is_placed = True
        return {"data": []}, {}

    def _place(self, prefix: str) -> None:
        """Record that *prefix* is the right one, for the listing and for calls."""
        self._prefixes = (prefix, *(other for other in self._prefixes if other != prefix))
        self._is_placed = True

    async def _computes(self) -> bool:
        """Return whether a server whose listing timed out is llama-cpp-python, which serves one request at a time."""
        with suppress(ProviderError):
            return await self._is_quietly(LLAMA_CPP_PYTHON, deadline_s=_QUIET_ANSWERS_S)
        return False

    async def _by_info(self, refusals: list[ProviderError]) -> tuple[Any, Mapping[str, str]]:
        """Return a listing made from `/info`, for a server without a listing; else raises the first of *refusals*."""
        entries: list[Mapping[str, Any]] = []
        by_info = self.given is None or self.given.props == "info"
        if by_info and all(refusal.outcome is Outcome.NOT_FOUND for refusal in refusals):
            with suppress(ProviderError):
                entries = listed_by_info(await self._http.get("info"))
        if not entries:
            raise refusals[0]
        self._is_placed = True
        return {"data": entries}, {}

    async def read_native(self) -> dict[str, Mapping[str, Any]]:
        """Read the server's own listing into `native` and return it; empty if it does not answer."""
        found = await self._natively(self.flavour, {})
        self.native = found or self.native
        return found

    async def _natively(
        self, flavour: Flavour, before: dict[str, Mapping[str, Any]]
    ) -> dict[str, Mapping[str, Any]]:
        """Return the entries of the own listing of *flavour* by name; empty if the server has none.

        If the server has it, but fails to answer, the entries are those of *before*: else all its models would change
        for a moment.
        """
        paths = filter(None, (self._native_path or flavour.native, flavour.native_before))
        for path in dict.fromkeys(paths):
            try:
                reply = await optional(self._http.get(path), without=_NO_FACTS - _FOR_NOW)
            except ProviderError as error:
                if error.outcome in _FOR_NOW and before:
                    return before
                if error.outcome not in _NO_FACTS:
                    raise
                continue
            if details := flavour.natively(reply):
                self._native_path = path if path == flavour.native_before else None
                return details
        self._native_path = None
        return {}

    async def held(self, names: Collection[str]) -> set[str] | None:
        """Return those of *names* that the server has loaded; None if it does not say.

        Raises ProviderError for a failure of a server that lists more: without its answer, models would come and go.
        """
        path = f"{self.prefix.removesuffix('v1/')}{self.flavour.held_at}"
        without = SWITCHED_OFF if self.flavour.lists_more else _NO_FACTS
        return self.flavour.held(await optional(self._http.get(path), without=without), names)

    async def properties(self) -> Mapping[str, Any]:
        """Return the server's description of its one model; empty if its flavour has no path for it."""
        if self.flavour.props is None:
            return {}
        return mapping(await optional(self._http.get(self.flavour.props)))


async def optional(asked: Awaitable[T], *, without: Collection[Outcome] = _NO_FACTS) -> T | None:
    """Return the result of *asked*; None if it fails with an outcome in *without*. Raises other ProviderErrors."""
    try:
        return await asked
    except ProviderError as error:
        if error.outcome in without:
            return None
        raise


def refuse_error(body: object) -> None:
    """Raise ProviderError with the server's words if *body*, a reply with status 200, is an error."""
    reply = mapping(body)
    if reply.get("error") or reply.get("object") == "error" or reply.get("success") is False:
        raise in_stream(reply)


def _listed(body: object) -> list[Any]:
    """Return the entries of *body*: an object with `data` or `models`, or an array. Raises ProviderError."""
    if isinstance(body, list):
        return body
    page = mapping(body)
    if isinstance(page.get("data"), list):
        return sequence(page["data"])
    refuse_error(page)
    if "data" in page and page["data"] is None:
        return []  # Go writes an empty list as null
    if isinstance(page.get("models"), list):  # Cohere, and servers that list as Ollama does
        return sequence(page["models"])
    raise _no_listing(body)


def _no_listing(body: object) -> ProviderError:
    """Return the error for *body*, a reply with status 200 without a listing; with the words of the reply, if any."""
    problem = "/v1/models did not list models"
    if not (words := said(body)):
        return ProviderError(Outcome.GARBAGE, problem)
    found = without_status(words)
    # An error message that no rule knows may come from any server, so it is no server error.
    outcome = Outcome.GARBAGE if found is Outcome.SERVER_ERROR else found
    return ProviderError(outcome, f"{problem}: {words}")


def _named(listed: list[Any]) -> list[Mapping[str, Any]]:
    """Return the entries with a valid name as objects with an `id`.

    An entry may be a text. Without a text as `id`, its `model` or `name` is used. Raises ProviderError for too many
    entries.
    """
    _refuse_more(len(listed))
    entries = [mapping({"id": entry} if isinstance(entry, str) else entry) for entry in listed]
    entries = [
        entry if isinstance(entry.get("id"), str) else {**entry, "id": entry.get("model", entry.get("name"))}
        for entry in entries
    ]
    return [entry for entry in entries if is_name(entry.get("id"))]


def _refuse_more(entries: int) -> None:
    """Raise ProviderError if *entries* is above the limit: reading more would delay all other work."""
    if entries > _MAX_ENTRIES:
        raise ProviderError(Outcome.TOO_LARGE, f"more than {_MAX_ENTRIES:,} models are listed")
