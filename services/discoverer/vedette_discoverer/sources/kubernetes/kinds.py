"""The kinds of objects that are read, and the rules of the Role that allows it. Pure.

Versions are tried in order. If the cluster does not have a kind, Vedette tries again later.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct


class Kind(Struct, frozen=True, kw_only=True):
    """A kind of object. `required`: until it is listed, nothing in its namespace changes."""

    name: str
    plural: str
    groups: tuple[tuple[str, str], ...]  # group and version, the newest first
    required: bool = False


SERVICE: Final = Kind(name="Service", plural="services", groups=(("", "v1"),), required=True)
ENDPOINT_SLICE: Final = Kind(
    name="EndpointSlice", plural="endpointslices", groups=(("discovery.k8s.io", "v1"),), required=True
)
INFERENCE_SERVICE: Final = Kind(
    name="InferenceService", plural="inferenceservices", groups=(("serving.kserve.io", "v1beta1"),)
)
LLM_INFERENCE_SERVICE: Final = Kind(
    name="LLMInferenceService",
    plural="llminferenceservices",
    groups=(("serving.kserve.io", "v1alpha2"), ("serving.kserve.io", "v1alpha1")),
)
INFERENCE_POOL: Final = Kind(
    name="InferencePool",
    plural="inferencepools",
    groups=(("inference.networking.k8s.io", "v1"), ("inference.networking.x-k8s.io", "v1alpha2")),
)
MODEL: Final = Kind(name="Model", plural="models", groups=(("kubeai.org", "v1"),))
KINDS: Final = (
    SERVICE,
    ENDPOINT_SLICE,
    INFERENCE_SERVICE,
    LLM_INFERENCE_SERVICE,
    INFERENCE_POOL,
    MODEL,
)
VERBS: Final = ("get", "list", "watch")


def role_rules(kinds: Iterable[Kind] = KINDS) -> list[dict[str, Any]]:
    """Return the rules of a Role that allows reading *kinds*, as a manifest writes them: one for each API group."""
    plurals: dict[str, set[str]] = {}
    for kind in kinds:
        for group, _ in kind.groups:
            plurals.setdefault(group, set()).add(kind.plural)
    return [
        {"apiGroups": [group], "resources": sorted(resources), "verbs": list(VERBS)}
        for group, resources in sorted(plurals.items())
    ]
