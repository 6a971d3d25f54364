"""From the requirements of a request to the models that fit, best first, by the queries that agents use."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain
from typing import Final, TypeVar

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.client import Client as Connection

from vedette import providers
from vedette.client import ask
from vedette.errors import NoAnswer, RequestError
from vedette.messages.codec import encode
from vedette.messages.constraints import Constraints
from vedette.messages.queries import (
    ExplainReply,
    ModelRequest,
    ModelsReply,
    ModelsRequest,
    ModelView,
    Recommendation,
    RecommendRequest,
    TopReply,
)
from vedette.messages.validation import reference, use_case_of
from vedette.text.shown import shown_name
from vedette.types import CALLABLE, Capability
from vedette_gateway import nearest
from vedette_gateway.automatic import Guess, guess
from vedette_gateway.calling import Candidate
from vedette_gateway.fitting import lacks_room, unfit
from vedette_gateway.keys import Caller
from vedette_gateway.problems import Problem
from vedette_gateway.voting import Embedder, Voting
from vedette_gateway.wanted import VIRTUAL, Wanted
from vedette_gateway.warm import Patience, Reply, Silence, Warm, none_fits

T = TypeVar("T", bound=msgspec.Struct)
_TIMEOUT_S: Final = 2.0
_LIST_TIMEOUT_S: Final = 10.0
_MAX_SAME_NAME: Final = 50
_WARM: Final = Patience(fresh_s=1.0, usable_s=30.0)
# Clients decide by it whether to retry, so it is cached for only a second.
_EXPLAINED_WARM: Final = Patience(fresh_s=1.0, usable_s=1.0)
_LISTS_WARM: Final = Patience(fresh_s=5.0, usable_s=3600.0, wait_s=3.0, give_up_s=2.1 * _LIST_TIMEOUT_S)
# Rankings for an outage, for requests of a new kind: seconds between queries, and models of each ranking.
_READY_EVERY_S: Final = 300.0
_READY_AGAIN_S: Final = 5.0
_READY_MODELS: Final = 20
# To be classified, a caller's text may go only to local models.
_EMBEDS_FOR_US: Final = Constraints(locality="local")
_MAY: Final = Constraints(unknown_capabilities="keep")


class Found(Struct, frozen=True, kw_only=True):
    """The models for one request, best first, and the reason."""

    candidates: tuple[Candidate, ...]
    use_case: str | None = None
    guess: Guess | None = None  # how the use case was found; None if the caller named it
    considered: int = 0
    unknown: tuple[Capability, ...] = ()  # capabilities that these models may lack
    stale: bool = False


class Finding:
    """Queries recommenders over *connection*, and caches their replies.

    *base_url* returns where OpenAI clients call a configured endpoint, and None for other endpoints.
    """

    def __init__(
        self,
        connection: Connection,
        use_cases: Callable[[], Collection[str]],
        *,
        monotonic: Callable[[], float],
        voting: Voting,
        base_url: Callable[[str], str | None],
    ) -> None:
        self._connection = connection
        self._base_url = base_url
        self._ready: dict[bytes, TopReply] = {}
        silence = self._silence = Silence(monotonic=monotonic, is_away=lambda: not connection.is_connected)
        # Accounts of an older version may not query explanations and get no reply. Then only these are missing.
        unexplained = Silence(monotonic=monotonic, is_away=lambda: bool(silence))
        self._use_cases = use_cases
        self._voting = voting

        async def top(request: bytes) -> TopReply:
            return await self._ask("recommend.top", request, TopReply, _TIMEOUT_S)

        async def model(request: bytes) -> ModelsReply:
            return await self._ask("models.get", request, ModelsReply, _TIMEOUT_S)

        async def models(request: bytes) -> ModelsReply:
            return await self._ask("models.list", request, ModelsReply, _LIST_TIMEOUT_S)

        async def explained(request: bytes) -> ExplainReply:
            return await self._ask("recommend.explain", request, ExplainReply, _TIMEOUT_S, unexplained)

        def ranked(earlier: Iterable[tuple[bytes, TopReply]], request: bytes) -> TopReply | None:
            return nearest.ranking(chain(earlier, self._ready.items()), request)

        self._rankings = Warm(top, monotonic=monotonic, silence=silence, patience=_WARM, fitting=ranked)
        self._models: Warm[ModelsReply] = Warm(
            model, monotonic=monotonic, silence=silence, patience=_WARM, fitting=none_fits
        )

        self._explained: Warm[ExplainReply] = Warm(
            explained, monotonic=monotonic, silence=unexplained, patience=_EXPLAINED_WARM, fitting=none_fits
        )

        # For models by name. Requests wait for it, so its timeout is shorter than that of a list of all models.
        async def named(request: bytes) -> ModelsReply:
            return await self._ask("models.list", request, ModelsReply, _TIMEOUT_S)

        def listed(earlier: Iterable[tuple[bytes, ModelsReply]], request: bytes) -> ModelsReply | None:
            return nearest.models(chain(earlier, self._lists.replies()), request)

        self._names = Warm(named, monotonic=monotonic, silence=silence, patience=_WARM, fitting=listed)
        self._lists: Warm[ModelsReply] = Warm(
            models, monotonic=monotonic, silence=silence, patience=_LISTS_WARM, fitting=none_fits
        )

    async def keep_ready(self) -> None:
        """Query the ranking of each use case and kind of request every five minutes, until cancelled.

        While no recommender replies, requests of a kind without a cached ranking get it.
        """
        while True:
            is_ready = await self.make_ready()
            await asyncio.sleep(_READY_EVERY_S if is_ready else _READY_AGAIN_S)

    async def make_ready(self) -> bool:
        """Query all rankings once; return whether any came. A recommender that just started may refuse all."""
        is_any = False
        for use_case in tuple(self._use_cases()):
            for kind in nearest.KINDS:
                request = encode(
                    RecommendRequest(
                        use_case=use_case, capabilities=kind, limit=_READY_MODELS, constraints=_MAY
                    )
                )
                try:
                    self._ready[request] = await self._ask("recommend.top", request, TopReply, _TIMEOUT_S)
                    is_any = True
                except NoAnswer:
                    return False
                except RequestError:
                    continue  # a use case that recommenders do not know yet
        return is_any

    async def _ask(
        self, subject: str, request: bytes, reply: type[T], timeout_s: float, silence: Silence | None = None
    ) -> T:
        with (silence or self._silence).asking():
            try:
                return await ask(self._connection, subject, request, reply, timeout_s=timeout_s)
            except nats.errors.Error as error:
                raise NoAnswer(code="no_answer", message=f"{subject}: {type(error).__name__}") from error

    def winner_changed(self, use_case: str) -> None:
        """Make cached rankings of *use_case* stale, so that their next use refreshes them."""
        self._rankings.expire(lambda reply: reply.use_case == use_case)

    async def find(self, wanted: Wanted, caller: Caller, *, limit: int) -> Found:
        """Return the models that *wanted* may go to, at most *limit* by use case. Raises Problem and RequestError."""
        match wanted.target.kind:
            case "model":
                found = await self._one(wanted)
            case "name":
                found = await self._of_name(wanted)
            case _:
                found = await self._for_use_case(wanted, caller, limit)
        if not caller.may_call(wanted.target, found.use_case):
            allowed = ", ".join(f"{VIRTUAL}{one}" for one in caller.key.use_cases) if caller.key else ""
            raise Problem(403, "model_not_allowed", f"{caller.name} may call {allowed}", param="model")
        return found

    async def _for_use_case(self, wanted: Wanted, caller: Caller, limit: int) -> Found:
        known = self._use_cases()
        guessed = None
        if wanted.target.kind == "auto":
            open_ones = allowed(wanted, caller, known)
            guessed = guess(wanted, open_ones)
            guessed = await self._voting.improved(wanted, guessed, open_ones, self._embedder)
        use_case = guessed.use_case if guessed else use_case_of(wanted.target.name, known)
        reply = await self._roomiest(wanted, use_case, caller, limit)
        candidates = tuple(
            one for recommended in reply.value.recommendations if (one := _candidate(recommended))
        )
        if not candidates:
            raise await self._unfit(wanted, use_case, caller, limit, reply.value)
        return Found(
            candidates=candidates,
            use_case=use_case,
            guess=guessed,
            considered=reply.value.considered,
            unknown=reply.value.unknown_capabilities,
            stale=reply.is_stale,
        )

    async def _roomiest(self, wanted: Wanted, use_case: str, caller: Caller, limit: int) -> Reply[TopReply]:
        """Return the ranking for the largest of `wanted.rooms` (contexts) that a model has.

        In an outage, only cached rankings count. Raises RequestError.
        """
        *roomy, least = (
            encode(wanted.recommendation(use_case, caller=caller.name, limit=limit, room=room))
            for room in wanted.rooms
        )
        waited = False
        for request in roomy:
            try:
                reply = await self._rankings.of(request)
            except NoAnswer:
                waited = True
                continue
            if not lacks_room(reply.value):
                return reply
        return await self._rankings.of(least, needed=not waited)

    async def _unfit(
        self, wanted: Wanted, use_case: str, caller: Caller, limit: int, reply: TopReply
    ) -> Problem:
        """Return why no model is a candidate, and whether a retry makes sense."""
        if reply.recommendations or lacks_room(reply):
            return unfit(use_case, reply, None)
        request = encode(
            wanted.recommendation(use_case, caller=caller.name, limit=limit, room=wanted.least_tokens)
        )
        try:
            explained = (await self._explained.of(request)).value
        except RequestError:
            explained = None
        return unfit(use_case, reply, explained)

    async def _embedder(self) -> Embedder | None:
        """Return the best local embedding model, with its digest, or None."""
        request = encode(RecommendRequest(use_case="embedding", limit=1, constraints=_EMBEDS_FOR_US))
        best = next(iter((await self._rankings.of(request)).value.recommendations), None)
        if best is None or best.base_url is None:
            return None
        views = (await self._models.of(encode(ModelRequest(model=best.model)))).value.models
        return Embedder(best.model, next((view.info.digest for view in views), None), best.base_url)

    async def _one(self, wanted: Wanted) -> Found:
        """Return the model `endpoint/name`. In an outage, it is not checked if its endpoint is configured here."""
        model = reference(wanted.target.name)
        url = self._base_url(model.endpoint)
        try:
            reply = await self._models.of(encode(ModelRequest(model=model)), needed=url is None)
        except NoAnswer:
            if url is None:
                raise
            return Found(candidates=(Candidate(model=model, base_url=url),), stale=True)
        candidates = tuple(one for view in reply.value.models if (one := of_view(view)))
        if not candidates:
            raise Problem(
                400, "not_callable", f"{shown_name(model)} has no URL for OpenAI clients", param="model"
            )
        return Found(candidates=candidates, stale=reply.is_stale)

    async def _of_name(self, wanted: Wanted) -> Found:
        """Return the models with this name at any endpoint: callable ones first, then faster ones."""
        name = wanted.target.name
        reply = await self._names.of(encode(ModelsRequest(text=name, limit=_MAX_SAME_NAME)))
        views = [view for view in reply.value.models if view.model.name == name]
        views.sort(key=lambda view: (view.status not in CALLABLE, -_speed(view)))
        candidates = tuple(one for view in views if (one := of_view(view)))
        if not candidates:
            problem = (
                f"no model {name!r}; /v1/models lists what there is, {VIRTUAL}chat is the best one for chat"
            )
            raise Problem(404, "model_not_found", problem, param="model")
        return Found(candidates=candidates, stale=reply.is_stale)

    async def listed(self) -> list[ModelView]:
        """Return all models that OpenAI clients can call now. Raises NoAnswer without a reply and a cached list."""
        found: list[ModelView] = []
        while True:
            page = (await self._lists.of(encode(ModelsRequest(offset=len(found))))).value
            found += page.models
            if not page.models or len(found) >= page.total:
                break
        return [view for view in found if view.status in CALLABLE and of_view(view)]

    async def ranking(self, use_case: str, limit: int) -> Sequence[Recommendation]:
        """Return the ranking of *use_case* for requests without constraints; empty after any error."""
        try:
            request = RecommendRequest(use_case=use_case, limit=limit, constraints=_MAY)
            return (await self._rankings.of(encode(request))).value.recommendations
        except RequestError:
            return ()


def allowed(wanted: Wanted, caller: Caller, known: Collection[str]) -> Collection[str]:
    """Return the *known* use cases that *wanted* allows and *caller* may name; if none is left, ignore *caller*."""
    named = [use_case_of(one, known) for one in wanted.among] or known
    mine = caller.key.use_cases if caller.key and caller.key.use_cases else named
    return [one for one in named if one in mine] or named


def _candidate(one: Recommendation) -> Candidate | None:
    if one.base_url is None:
        return None
    return Candidate(
        model=one.model,
        base_url=one.base_url,
        score=one.score,
        ttft_ms=one.expected_ttft_ms or one.ttft_ms,
        output_tps=one.expected_output_tps or one.output_tps,
        price=one.price,
        equivalent=one.equivalent,
    )


def of_view(view: ModelView) -> Candidate | None:
    """Return the model of *view* as a candidate, or None where OpenAI clients cannot call it."""
    base_url = view.info.base_url or providers.base_url(view.provider, view.url)
    if base_url is None:
        return None
    speed = view.performance
    return Candidate(
        model=view.model,
        base_url=base_url,
        ttft_ms=speed.ttft_ms if speed else None,
        output_tps=speed.output_tps if speed else None,
        price=view.info.price,
    )


def _speed(view: ModelView) -> float:
    return (view.performance.output_tps if view.performance else None) or 0.0
