"""How long after an event an open page shows it, in a real browser: a table for docs/benchmarks.md.

Run it from `tests`: uv run --group browser python -m benchmarks.lag
"""

import asyncio
import time
from random import Random
from typing import Any

from browser.test_console import SCREENS, live, opened
from consoles import ENDPOINTS, Rig, fleet
from samples import probe_event
from vedette.messages.events import EndpointObserved
from vedette.testing import EPOCH
from vedette.types import EndpointState, ModelRef, Outcome

MODELS, EVENTS = 1000, 30
_WAIT_MS = 30_000
# Resolves with the time (ms since 1970) of the next change of the page.
_CHANGED = """new Promise((done, fail) => {
  setTimeout(() => fail(new Error("nothing changed")), %d);
  new MutationObserver((_, observer) => {
    observer.disconnect();
    done(performance.timeOrigin + performance.now());
  }).observe(document.querySelector("main"), {childList: true, subtree: true});
})"""


def happen(rig: Rig, number: int) -> None:
    """Let a model be probed and an endpoint be observed."""
    state = EndpointState(
        url=ENDPOINTS["gpu"].url,
        provider="openai-compatible",
        fingerprint="f",
        checked_at=EPOCH,
        outcome=Outcome.OK,
    )
    rig.hear(
        probe_event(ModelRef("gpu", "qwen3:8b"), at=EPOCH, job_id=str(number)),
        EndpointObserved(id=f"o{number}", at=EPOCH, endpoint="gpu", state=state),
    )


async def measured(rig: Rig, page: Any, rng: Random) -> list[float]:
    """Return how long after each of EVENTS events *page* changed (ms), in order."""
    found = []
    for number in range(EVENTS):
        changed = asyncio.create_task(page.evaluate(_CHANGED % _WAIT_MS))
        await asyncio.sleep(rng.uniform(0.05, 1.5))
        if changed.done():  # of the event before
            continue
        began = time.time() * 1000
        happen(rig, number)
        found.append(await changed - began)
    return sorted(found)


async def main() -> None:
    """Print the table."""
    rig, rng = Rig(fleet(MODELS)), Random(1)
    print("| page | events | p50 ms | most ms |\n|---|---|---|---|")
    async with rig.served() as url, opened(url) as (page, _):
        for name in ("now", "why", "models", "model", "endpoints", "changes"):
            await page.goto(SCREENS[name])
            await live(page)
            await asyncio.sleep(1)
            lags = await measured(rig, page, rng)
            print(f"| {name.capitalize()} | {len(lags)} | {lags[len(lags) // 2]:.0f} | {lags[-1]:.0f} |")


if __name__ == "__main__":
    asyncio.run(main())
