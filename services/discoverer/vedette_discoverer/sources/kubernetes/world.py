"""Objects of a namespace as the API gives them, and the values that every reader needs from them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from vedette_discoverer.sources.kubernetes.kinds import ENDPOINT_SLICE, Kind
from vedette_discoverer.sources.shapes import at, mapping, sequence, words

Object = Mapping[str, Any]
_SERVICE_NAME: Final = "kubernetes.io/service-name"


class World(Struct, frozen=True, kw_only=True):
    """The objects of one namespace, by the name of their kind."""

    namespace: str
    objects: Mapping[str, Sequence[Object]]

    def of(self, kind: Kind) -> Sequence[Object]:
        """Return the objects of *kind*, by name."""
        return sorted(self.objects.get(kind.name, ()), key=name_of)


class Pod(Struct, frozen=True, kw_only=True):
    """One address behind a Service; `pod` is its name if it is a pod of the same namespace."""

    address: str
    pod: str | None = None
    hostname: str | None = None
    ready: bool = False


class Behind(Struct, frozen=True, kw_only=True):
    """The pods behind a Service that are not ending, and the numbers of their ports by name."""

    pods: tuple[Pod, ...] = ()
    ports: Mapping[str, int] = {}

    @property
    def ready(self) -> int:
        """How many are ready."""
        return sum(pod.ready for pod in self.pods)


def name_of(thing: Object) -> str:
    """Return the name of an object."""
    return str(at(thing, "metadata", "name") or "")


def labels_of(thing: Object) -> dict[str, str]:
    """Return the labels of an object."""
    return words(at(thing, "metadata", "labels"))


def annotations_of(thing: Object) -> dict[str, str]:
    """Return the annotations of an object."""
    return words(at(thing, "metadata", "annotations"))


def behind(world: World, service: str) -> Behind | None:
    """Return the pods behind the Service *service*, or None if no EndpointSlice names it.

    A pod that is ending does not count. An absent `ready` means ready (discovery.k8s.io/v1, EndpointConditions).
    """
    slices = [one for one in world.of(ENDPOINT_SLICE) if labels_of(one).get(_SERVICE_NAME) == service]
    if not slices:
        return None
    pods: dict[str, Pod] = {}
    ports: dict[str, int] = {}
    for one in slices:
        for port in map(mapping, sequence(one.get("ports"))):
            if isinstance(number := port.get("port"), int):
                ports.setdefault(str(port.get("name") or ""), number)
        for endpoint in map(mapping, sequence(one.get("endpoints"))):
            pod = _pod(world, endpoint)
            # A pod with two address families is in two slices.
            if pod is not None and (pod.pod or pod.address) not in pods:
                pods[pod.pod or pod.address] = pod
    return Behind(pods=tuple(pods.values()), ports=ports)


def _pod(world: World, endpoint: Mapping[str, Any]) -> Pod | None:
    addresses = sequence(endpoint.get("addresses"))
    if at(endpoint, "conditions", "terminating") is True or not addresses:
        return None
    target = mapping(endpoint.get("targetRef"))
    ours = target.get("kind") == "Pod" and target.get("namespace") == world.namespace
    hostname = endpoint.get("hostname")
    return Pod(
        address=str(addresses[0]),
        pod=str(target["name"]) if ours and target.get("name") else None,
        hostname=hostname if isinstance(hostname, str) else None,
        ready=at(endpoint, "conditions", "ready") is not False,
    )
