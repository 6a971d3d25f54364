"""The replaying server, and endpoints opened on it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Literal

import pytest

from providers.replay import Replay, replaying
from vedette import providers
from vedette.clock import SystemClock
from vedette.providers import Access, Endpoint


@pytest.fixture
async def replay() -> AsyncIterator[Replay]:
    """Run a replaying server for one test."""
    async with replaying() as server:
        yield server


def opened(
    provider: str,
    url: str,
    *,
    timeout_s: float = 60.0,
    max_body_bytes: int = 1 << 20,
    secret: str | None = None,
    allowed: tuple[str, ...] = (),
    ca_file: str | None = None,
    verify: bool = True,
    locality: Literal["local", "remote"] | None = None,
    flavour: str | None = None,
    models: tuple[str, ...] = (),
) -> AbstractAsyncContextManager[Endpoint]:
    """Open an endpoint of *provider* as services do."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    access = Access(
        endpoint="test",
        url=url,
        headers=headers,
        timeout_s=timeout_s,
        max_body_bytes=max_body_bytes,
        allowed=allowed,
        ca_file=ca_file,
        verify=verify,
        locality=locality,
        flavour=flavour,
        models=models,
    )
    return providers.load(provider).open(access, clock=SystemClock())
