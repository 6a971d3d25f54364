"""Three nats-servers as a cluster: killed, frozen, and back on their directories and ports."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Self

from ports import reserved
from vedette.runtime.nats_server import find_binary
from vedette.runtime.subprocesses import child

SIZE = 3


class Node:
    """One server of a cluster."""

    process: asyncio.subprocess.Process

    def __init__(
        self, directory: Path, name: str, port: int, routes: list[int], route: int, store: str
    ) -> None:
        self.port = port
        self._log = directory / f"{name}.log"
        self._configuration = directory / f"{name}.conf"
        self._configuration.write_text(
            f"server_name: {name}\n"
            f"listen: 127.0.0.1:{self.port}\n"
            f'jetstream {{ store_dir: "{directory / name}", max_file_store: {store}, sync_interval: always }}\n'
            f"cluster {{ name: c, listen: 127.0.0.1:{route}, "
            f"routes: [{', '.join(f'nats://127.0.0.1:{port}' for port in routes)}] }}\n"
        )
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Start it on its directory and port."""
        command = [find_binary(), "--config", str(self._configuration)]
        self.process = await self._running.enter_async_context(child(command, log=self._log))

    async def kill(self) -> None:
        """Kill it."""
        self.process.kill()
        await self.stop()

    async def stop(self) -> None:
        """Stop it, running, frozen or dead."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
        await self._running.aclose()

    def freeze(self) -> None:
        """Have it do nothing, and close nothing."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        os.kill(self.process.pid, signal.SIGCONT)


class Cluster:
    """Three servers with JetStream, each with *store* for streams."""

    def __init__(self, directory: Path, *, store: str = "8GB") -> None:
        self._reserved = ExitStack()
        ports, routes = (
            [self._reserved.enter_context(reserved()) for _ in range(SIZE)] for _ in ("clients", "servers")
        )
        self.nodes = [
            Node(directory, f"n{place}", port, routes, route, store)
            for place, (port, route) in enumerate(zip(ports, routes, strict=True))
        ]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(node.stop() for node in self.nodes))
        self._reserved.close()

    async def start(self) -> None:
        """Start all."""
        for node in self.nodes:
            await node.start()

    async def kill(self) -> None:
        """Kill all at once."""
        await asyncio.gather(*(node.kill() for node in self.nodes))

    @property
    def urls(self) -> list[str]:
        """Where clients find it."""
        return [f"nats://127.0.0.1:{node.port}" for node in self.nodes]
