"""A process whose event loop is blocked answers nothing, /livez among it, so that whoever runs it starts it anew."""

import asyncio
import threading
import urllib.request
from concurrent.futures import Future

import pytest

from vedette.runtime import telemetry
from vedette.settings import Http


@pytest.mark.fault("an event loop is blocked", "I5")
def test_a_blocked_event_loop_is_not_live() -> None:
    """It is live before, and again after."""
    served: Future[str] = Future()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        async with telemetry.serve(Http(), {}) as url:
            served.set_result(url)
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    blocked, release = threading.Event(), threading.Event()

    def block() -> None:
        blocked.set()
        release.wait()

    try:
        url = f"{served.result(timeout=60)}/livez"
        assert _live(url, within_s=60)
        loop.call_soon_threadsafe(block)
        assert blocked.wait(timeout=60)
        assert not _live(url, within_s=2)
        release.set()
        assert _live(url, within_s=60)
    finally:
        release.set()
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


def _live(url: str, *, within_s: float) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=within_s) as response:
            return bool(response.status == 200)
    except OSError:
        return False
