"""Services as processes of their own, several of each, as pods would run them: to be killed, stopped and frozen."""

import asyncio
import signal
import sys
import urllib.error
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from eventually import eventually
from vedette.runtime.subprocesses import child, last_line

READY_WITHIN_S = 120.0
_STARTS = 5


class Replica:
    """One of the processes that run *service*. Ended, it can be started again; what it says goes on in its log."""

    process: asyncio.subprocess.Process

    def __init__(self, service: str, place: int, url: str, config: Path) -> None:
        self.service = service
        self.place = place
        self.log = config.parent / f"{service}-{place}.log"
        self.starts = 0
        self.whole = False
        self._url = url
        self._config = config
        self._said_before = 0
        self._running = AsyncExitStack()

    def __str__(self) -> str:
        return f"{self.service}-{self.place}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.resume()
        await self._running.aclose()

    async def start_until_ready(self) -> list[str]:
        """Start it until it is ready, as whoever runs pods does; return the last words of each that ended before."""
        last_words: list[str] = []
        while len(last_words) < _STARTS:
            try:
                await self.start()
            except AssertionError:
                if self.lives:
                    raise
                last_words.append(last_line(self.log))
                await self._running.aclose()
                await asyncio.sleep(1)
            else:
                return last_words
        raise AssertionError(f"{self} ended {_STARTS} times while it started: {last_words}")

    async def start(self) -> None:
        """Start it; return when it has said that it is ready."""
        self._said_before = len(self._said())
        self.starts += 1
        command = [sys.executable, "-c", "from vedette.cli import main; main()", "run", self.service]
        options = ["--nats", self._url, "--config", str(self._config)]
        self.process = await self._running.enter_async_context(child([*command, *options], log=self.log))
        await eventually(self._says_ready, within_s=READY_WITHIN_S, what=f"{self} ready")
        self.whole = True

    async def _says_ready(self) -> bool:
        assert self.lives, f"{self} has ended with {self.process.returncode}: {last_line(self.log)}"
        return "\nready" in self._said()[self._said_before :]

    def _said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    @property
    def lives(self) -> bool:
        """Whether its process is there."""
        return self.process.returncode is None

    async def end(self, number: int, *, within_s: float) -> int:
        """Send it a signal; return its exit code. Fails when it is not gone *within_s*."""
        self.whole = False
        self.process.send_signal(number)
        try:
            async with asyncio.timeout(within_s):
                return await self.process.wait()
        except TimeoutError:
            raise AssertionError(f"{self} was not gone {within_s:g} s after signal {number}") from None
        finally:
            await self._running.aclose()

    def freeze(self) -> None:
        """Have it do nothing, and close nothing."""
        self.whole = False
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        if self.lives:
            self.process.send_signal(signal.SIGCONT)
            self.whole = True

    async def is_ready(self) -> bool:
        """Return whether /readyz says so."""
        return await self.health() == 200

    async def health(self) -> int:
        """Return the status of /readyz, or 0 when nothing answers."""
        url = self._health()
        return await asyncio.to_thread(_status, url) if url else 0

    def _health(self) -> str | None:
        lines = self._said()[self._said_before :].splitlines()
        return next((line.split()[1] for line in lines if line.startswith("health")), None)


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0
