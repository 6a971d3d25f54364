"""An API server of Kubernetes for tests: lists and watches that answer as a real one did.

Recorded from kube-apiserver v1.34.4 on 2026-11-30: an unknown kind is a 404 in plain text, a refusal is a Status with
403, a watch that begins too long ago gets an event ERROR with 410, and one that is over just ends.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme

Object = dict[str, Any]


class Cluster:
    """Objects by path of their list (`/api/v1/namespaces/ml/services`), and what the API answers instead."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Object]] = {}
        self.refused: dict[str, tuple[int, str]] = {}  # by path: status and message
        self.garbage: str | None = None
        self.requests: list[str] = []
        self.tokens: list[str] = []
        self.token: str | None = None  # None: any is right
        self._version = 100
        self._oldest = 0
        self._watches: list[tuple[str, asyncio.Queue[Object | None]]] = []
        self._writers: set[asyncio.StreamWriter] = set()

    def allow(self, *paths: str) -> None:
        """Have *paths* as kinds that the API knows."""
        for path in paths:
            self.objects.setdefault(path, {})

    def put(self, path: str, thing: Object) -> None:
        """Create or replace an object."""
        self.allow(path)
        name = thing["metadata"]["name"]
        event = "MODIFIED" if name in self.objects[path] else "ADDED"
        self._version += 1
        stored = {**thing, "metadata": {**thing["metadata"], "resourceVersion": str(self._version)}}
        self.objects[path][name] = stored
        self._say(path, {"type": event, "object": stored})

    def delete(self, path: str, name: str) -> None:
        """Delete an object."""
        self._version += 1
        gone = self.objects[path].pop(name)
        self._say(path, {"type": "DELETED", "object": gone})

    def forget_silently(self, path: str, name: str) -> None:
        """Delete an object without an event, and expire the watches: only a new list shows it."""
        del self.objects[path][name]
        error = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        expired = {"message": "too old resource version: 1 (234)", "reason": "Expired", "code": 410}
        self._say(path, {"type": "ERROR", "object": error | expired})

    def end_watches(self) -> None:
        """End all watches, as the API does after a time."""
        for _, events in self._watches:
            events.put_nowait(None)

    def hang_up(self) -> None:
        """Break off all connections."""
        for writer in self._writers:
            writer.transport.abort()

    def watched(self, path: str) -> int:
        """Return how many watch *path*."""
        return sum(one == path for one, _ in self._watches)

    def _say(self, path: str, event: Object) -> None:
        for one, events in self._watches:
            if one == path:
                events.put_nowait(event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self._writers.add(writer)
        try:
            while request := (await reader.readline()).decode():
                headers: dict[str, str] = {}
                while line := (await reader.readline()).decode().strip():
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                await self._answer(request.split()[1], headers, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, target: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        parts, query = urlsplit(target), {k: v[0] for k, v in parse_qs(urlsplit(target).query).items()}
        self.requests.append(target)
        token = headers.get("authorization", "").removeprefix("Bearer ")
        self.tokens.append(token)
        if self.garbage is not None:
            _send(writer, 200, self.garbage, "text/html")
        elif self.token is not None and token != self.token:
            _status(writer, 401, "Unauthorized", "Unauthorized")
        elif refused := self.refused.get(parts.path):
            _status(writer, *refused, "Forbidden")
        elif parts.path not in self.objects:
            _send(writer, 404, "404 page not found\n", "text/plain; charset=utf-8")
        elif query.get("watch") == "true":
            await self._watch(parts.path, writer)
        else:
            metadata = {"resourceVersion": str(self._version)}
            items = list(self.objects[parts.path].values())
            _send(writer, 200, json.dumps({"kind": "List", "metadata": metadata, "items": items}))
        await writer.drain()

    async def _watch(self, path: str, writer: asyncio.StreamWriter) -> None:
        events: asyncio.Queue[Object | None] = asyncio.Queue()
        self._watches.append((path, events))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        try:
            while event := await events.get():
                line = json.dumps(event).encode() + b"\n"
                writer.write(b"%x\r\n%s\r\n" % (len(line), line))
                await writer.drain()
                if event["type"] == "ERROR":
                    break
            writer.write(b"0\r\n\r\n")
        finally:
            self._watches.remove((path, events))


def _status(writer: asyncio.StreamWriter, code: int, message: str, reason: str) -> None:
    told = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    _send(writer, code, json.dumps(told | {"message": message, "reason": reason, "code": code}))


def _send(writer: asyncio.StreamWriter, code: int, body: str, kind: str = "application/json") -> None:
    content = body.encode()
    head = f"HTTP/1.1 {code} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[tuple[Cluster, Path]]:
    """Serve a cluster; yield it and a kubeconfig for it in *directory*."""
    async with _served() as (served, port):
        kubeconfig = directory / "kubeconfig.yaml"
        kubeconfig.write_text(json.dumps(_kubeconfig(f"http://127.0.0.1:{port}")))
        yield served, kubeconfig


@asynccontextmanager
async def cluster_of_pods(directory: Path) -> AsyncIterator[tuple[Cluster, Path, int]]:
    """Serve a cluster with TLS; yield it, the service account that a pod would have in *directory*, and its port."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(directory / "ca.crt")
    (directory / "namespace").write_text("ml")
    async with _served(context) as (served, port):
        yield served, directory, port


@asynccontextmanager
async def _served(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Cluster, int]]:
    served = Cluster()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield served, server.sockets[0].getsockname()[1]
    finally:
        served.end_watches()
        served.hang_up()
        server.close()
        await server.wait_closed()


def _kubeconfig(url: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "k", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "ml"}}],
        "current-context": "c",
    }
