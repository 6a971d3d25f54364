"""Watching a cluster: what it shows, and what stays when its API is away, restarts, refuses or does not know a kind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster import Cluster, cluster, cluster_of_pods
from eventually import eventually
from vedette.settings.sources import Kubernetes
from vedette_discoverer.sources.kubernetes.kinds import KINDS
from vedette_discoverer.sources.kubernetes.watching import Watching
from vedette_discoverer.sources.view import View, problems

SERVICES = "/api/v1/namespaces/ml/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/ml/endpointslices"
MODELS = "/apis/kubeai.org/v1/namespaces/ml/models"
ALL = [
    f"/{'apis/' if group else 'api'}{group}/{version}/namespaces/ml/{kind.plural}"
    for kind in KINDS
    for group, version in kind.groups[:1]
]


def service(name: str, **annotations: str) -> dict[str, Any]:
    given = {"vedette.dev/provider": "openai-compatible"} | {
        f"vedette.dev/{k}": v for k, v in annotations.items()
    }
    return {
        "metadata": {"name": name, "namespace": "ml", "annotations": given},
        "spec": {"ports": [{"port": 8000}]},
    }


def pods(of: str, *addresses: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{of}-x", "namespace": "ml", "labels": {"kubernetes.io/service-name": of}},
        "ports": [{"name": "", "port": 8000}],
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
    }


class Waits:
    """The waits of the watches: all end when `go` is called, and are kept for the test."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._going = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self._going.wait()

    def go(self) -> None:
        self._going.set()
        self._going = asyncio.Event()


class Seen:
    """A watch of the cluster, and waiting for what it shows."""

    def __init__(self, watching: Watching, waits: Waits) -> None:
        self._watching = watching
        self.waits = waits

    async def until(self, so: Callable[[View], object]) -> View:
        """Return the first view of which *so* is true; end waits meanwhile."""

        async def ask() -> View | None:
            self.waits.go()
            await asyncio.sleep(0)
            view = await self._watching.view()
            return view if so(view) else None

        view = await eventually(ask, what=f"the view {await self._watching.view()}")
        assert view is not None
        return view


@asynccontextmanager
async def watched(
    directory: Path, *paths: str, relist_s: float = 3600.0
) -> AsyncIterator[tuple[Cluster, Seen]]:
    """Watch a cluster that knows *paths*, by default all kinds."""
    async with cluster(directory) as (served, kubeconfig):
        served.allow(*(paths or ALL))
        waits = Waits()
        settings = Kubernetes(enabled=True, kubeconfig=str(kubeconfig))
        watching = Watching(settings, providers=["openai-compatible"], wait=waits, relist_s=relist_s)
        async with watching.open():
            yield served, Seen(watching, waits)


def names(view: View) -> dict[str, str]:
    return {one.name: one.state for one in view.wanted}


async def test_what_is_created_changed_and_deleted_is_seen(tmp_path: Path) -> None:
    async with watched(tmp_path) as (served, seen):
        served.put(SLICES, pods("qwen", "10.0.0.1"))
        served.put(SERVICES, service("qwen"))
        await seen.until(lambda view: names(view) == {"ml-qwen": "there"})
        served.put(SLICES, pods("qwen"))
        await seen.until(lambda view: names(view) == {"ml-qwen": "asleep"})
        served.put(SERVICES, service("qwen", path="v1"))
        view = await seen.until(lambda view: view.refused)
        assert "vedette.dev/path" in problems(view)[0]
        served.delete(SERVICES, "qwen")
        await seen.until(lambda view: not view.unseen and not view.wanted and not view.refused)


async def test_a_watch_that_expired_is_a_new_list(tmp_path: Path) -> None:
    """410: what was deleted meanwhile is told by no event."""
    async with watched(tmp_path) as (served, seen):
        served.put(SERVICES, service("qwen"))
        await seen.until(lambda view: names(view))
        await eventually(_is(lambda: served.watched(SERVICES)))
        served.forget_silently(SERVICES, "qwen")
        view = await seen.until(lambda view: not view.wanted)
        assert problems(view) == []


async def test_a_watch_that_says_nothing_is_not_trusted_for_long(tmp_path: Path) -> None:
    async with watched(tmp_path, relist_s=0.05) as (served, seen):
        served.put(SERVICES, service("qwen"))
        await seen.until(lambda view: names(view))
        served.objects[SERVICES].clear()  # no event says so
        await seen.until(lambda view: not view.wanted)


async def test_what_was_seen_stays_while_the_api_is_away(tmp_path: Path) -> None:
    async with watched(tmp_path) as (served, seen):
        served.put(SERVICES, service("qwen"))
        await seen.until(lambda view: names(view))
        served.refused = dict.fromkeys(ALL, (503, "the server is shutting down"))
        served.hang_up()
        view = await seen.until(lambda view: len(view.notes) == len(ALL))
        assert names(view) == {"ml-qwen": "asleep"}
        assert "Service ml as last seen: the server is shutting down" in problems(view)
        served.refused = {}
        served.put(SERVICES, service("other"))
        view = await seen.until(lambda view: len(view.wanted) == 2 and not view.notes)


async def test_waits_grow_while_the_api_is_away(tmp_path: Path) -> None:
    async with watched(tmp_path) as (served, seen):
        served.refused = {SERVICES: (503, "away")}
        await seen.until(lambda view: max(seen.waits.asked, default=0) > 40)
        assert max(seen.waits.asked) <= 75
        assert min(seen.waits.asked) < 2


async def test_a_kind_that_may_not_be_read_hides_none_of_the_others(tmp_path: Path) -> None:
    async with watched(tmp_path) as (served, seen):
        served.refused = {MODELS: (403, "models.kubeai.org is forbidden")}
        served.put(SERVICES, service("qwen"))
        view = await seen.until(lambda view: names(view))
        assert view.unseen == {"Model ml/": "models.kubeai.org is forbidden"}
        assert problems(view) == ["Model ml cannot be seen: models.kubeai.org is forbidden"]


async def test_without_endpoint_slices_nothing_is_said_of_the_namespace(tmp_path: Path) -> None:
    """What is scaled to zero would be taken for one that runs, and be woken."""
    async with watched(tmp_path) as (served, seen):
        served.refused = {SLICES: (403, "endpointslices is forbidden")}
        served.put(SERVICES, service("qwen"))
        view = await seen.until(lambda view: "forbidden" in str(view.unseen))
        assert view.wanted == ()
        assert set(view.unseen) == {f"{kind.name} ml/" for kind in KINDS}


async def test_kinds_that_the_cluster_does_not_have_are_no_problem(tmp_path: Path) -> None:
    """They are looked for again, and seen once they are installed. At first they count as not seen."""
    async with watched(tmp_path, SERVICES, SLICES) as (served, seen):
        served.put(SERVICES, service("qwen"))
        view = await seen.until(lambda view: names(view))
        assert problems(view) == []
        await seen.until(lambda view: not view.unseen)
        assert max(seen.waits.asked) > 60
        served.put(
            SERVICES,
            service("kubeai", ignore="true")
            | {"metadata": {"name": "kubeai", "labels": {"app.kubernetes.io/name": "kubeai"}}},
        )
        served.put(MODELS, {"metadata": {"name": "gemma"}, "spec": {"features": ["TextGeneration"]}})
        await seen.until(lambda view: "ml-gemma" in names(view))


async def test_objects_of_a_kind_stay_while_an_api_that_restarts_does_not_know_it(tmp_path: Path) -> None:
    async with watched(tmp_path) as (served, seen):
        served.put(
            SERVICES,
            service("kubeai")
            | {"metadata": {"name": "kubeai", "labels": {"app.kubernetes.io/name": "kubeai"}}},
        )
        served.put(MODELS, {"metadata": {"name": "gemma"}, "spec": {"features": ["TextGeneration"]}})
        await seen.until(lambda view: "ml-gemma" in names(view))
        known = served.objects.pop(MODELS)
        served.hang_up()
        asked = len(seen.waits.asked)
        view = await seen.until(lambda view: len(seen.waits.asked) > asked + 2)
        assert "ml-gemma" in names(view)
        served.objects[MODELS] = known
        await eventually(_is(lambda: served.watched(MODELS)))
        assert "ml-gemma" in names(await seen.until(lambda view: not view.unseen))


async def test_the_older_version_of_a_kind_is_read_where_there_is_no_newer(tmp_path: Path) -> None:
    older = "/apis/serving.kserve.io/v1alpha1/namespaces/ml/llminferenceservices"
    async with watched(tmp_path, SERVICES, SLICES, older) as (served, seen):
        status = {"addresses": [{"url": "http://qwen.ml.svc.cluster.local:8000"}]}
        served.put(older, {"metadata": {"name": "qwen"}, "status": status})
        await seen.until(lambda view: names(view) == {"ml-qwen": "there"})


async def test_a_reply_that_is_none_of_kubernetes_ends_no_watch(tmp_path: Path) -> None:
    async with watched(tmp_path) as (served, seen):
        served.garbage = "<html>Sign in</html>"
        await seen.until(
            lambda view: "DecodeError" in str(view.unseen) or "ValidationError" in str(view.unseen)
        )
        served.garbage = None
        served.put(SERVICES, service("qwen"))
        await seen.until(lambda view: names(view) == {"ml-qwen": "asleep"})


async def test_a_new_token_of_the_pod_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubelet replaces it within the hour. Until there is one, the source says so."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    async with cluster_of_pods(tmp_path) as (served, account, port):
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
        served.allow(*ALL)
        served.put(SERVICES, service("qwen"))
        waits = Waits()
        settings = Kubernetes(enabled=True)
        watching = Watching(settings, providers=["openai-compatible"], wait=waits, service_account=account)
        seen = Seen(watching, waits)
        async with watching.open():
            await seen.until(lambda view: "no access to a cluster" in view.unseen.get("", ""))
            (account / "token").write_text("first")
            served.token = "first"
            await seen.until(lambda view: names(view) == {"ml-qwen": "asleep"})
            served.token = "second"
            served.hang_up()
            await seen.until(lambda view: "Unauthorized" in str(view.notes))
            (account / "token").write_text("second")
            await seen.until(lambda view: not view.notes)


def _is(so: Callable[[], object]) -> Callable[[], Any]:
    async def ask() -> object:
        return so()

    return ask
