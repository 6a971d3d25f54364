"""Let LiteLLM choose only among the deployments that Vedette ranks best now.

In a program, give it to LiteLLM: `litellm.callbacks = [VedetteRouting("chat")]`. For the proxy, copy this file next to
its configuration and name the callback there:

    litellm_settings:
      callbacks: litellm_routing.routing

Needs `litellm` and a running Vedette. VEDETTE_USE_CASE is the use case, `chat` by default.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

from vedette import Client
from vedette.errors import VedetteError
from vedette.messages.queries import Recommendation

try:
    from litellm.integrations.custom_logger import CustomLogger
except ImportError:  # to read this file, and to test it, LiteLLM is not needed
    CustomLogger = object

_FRESH_S = 1.0
_RETRY_S = 5.0


class VedetteRouting(CustomLogger):  # type: ignore[misc]
    """Narrows the deployments of a model group to the *keep* that rank best for *use_case*.

    It finds a deployment in Vedette's ranking by its `api_base` and model name, or by
    `model_info: {vedette: endpoint/name}`. If no deployment is in the ranking, or Vedette does not reply, LiteLLM
    chooses among all.
    """

    def __init__(self, use_case: str = "chat", *, keep: int = 1, **wanted: Any) -> None:
        super().__init__()
        self._use_case = use_case
        self._keep = keep
        self._wanted = wanted
        self._client: Client | None = None
        self._ranking: Sequence[Recommendation] = ()
        self._fresh_until = 0.0

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list[dict[str, Any]],
        messages: list[Any] | None,
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: Any = None,
    ) -> list[dict[str, Any]]:
        """Return the deployments that rank best. LiteLLM calls this before each request."""
        return narrowed(healthy_deployments, await self._current(), self._keep)

    async def _current(self) -> Sequence[Recommendation]:
        now = time.monotonic()
        if now >= self._fresh_until:
            self._fresh_until = now + _FRESH_S
            try:
                if self._client is None:
                    client = Client()
                    await client.connect()
                    self._client = client
                reply = await self._client.top(self._use_case, limit=100, **self._wanted)
                self._ranking = reply.recommendations
            except VedetteError:
                self._ranking = ()
                self._fresh_until = now + _RETRY_S
        return self._ranking


def narrowed(
    deployments: list[dict[str, Any]], ranking: Sequence[Recommendation], keep: int
) -> list[dict[str, Any]]:
    """Return the first *keep* of *deployments* by *ranking*, or all of them if none is in it."""
    places = {str(one.model): place for place, one in enumerate(ranking)}
    places |= {
        _key(one.base_url, one.model.name): place
        for place, one in reversed(list(enumerate(ranking)))
        if one.base_url
    }
    ranked = [(place, one) for one in deployments if (place := places.get(_place_of(one))) is not None]
    ranked.sort(key=lambda found: found[0])
    return [one for _, one in ranked[:keep]] or deployments


def _place_of(deployment: dict[str, Any]) -> str:
    """Return the name of a deployment in the ranking."""
    named = (deployment.get("model_info") or {}).get("vedette")
    if named:
        return str(named)
    parameters = deployment.get("litellm_params") or {}
    model = str(parameters.get("model", ""))
    name = model.partition("/")[2] if "/" in model else model  # LiteLLM puts its provider before the name
    return _key(str(parameters.get("api_base") or ""), name)


def _key(base_url: str, name: str) -> str:
    """Return an address and a name as one; with LiteLLM an address may lack the /v1."""
    return f"{base_url.rstrip('/').removesuffix('/v1')} {name}"


routing = VedetteRouting(os.environ.get("VEDETTE_USE_CASE", "chat"))
