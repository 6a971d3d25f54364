"""Services of well-known charts, recognised by their labels and selectors without an annotation. Pure data.

Each row names its source, read on 2026-11-30.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

Labels = Mapping[str, str]

_PART_OF: Final = "app.kubernetes.io/part-of"
_COMPONENT: Final = "app.kubernetes.io/component"
_RELEASE: Final = "app.kubernetes.io/instance"
_OLLAMA_CHART: Final = re.compile(r"ollama-\d")
AIBRIX_PORT: Final = "model.aibrix.ai/port"
KUBEAI: Final = ("app.kubernetes.io/name", "kubeai")
GATEWAY: Final = "gateway.networking.k8s.io/gateway-name"
_LLM_D_SERVING: Final = ("llm-d.ai/inferenceServing", "llm-d.ai/inference-serving")


class Chart(Struct, frozen=True, kw_only=True):
    """A chart and its Service: `ports` are names to prefer, `port_label` a label that has the number.

    `behind` gives the release whose router is in front of the Service. For a Service that is a router itself, `router`
    gives its release.
    """

    name: str
    provider: str
    made: Callable[[Labels, Labels], bool]  # by labels and selector
    ports: tuple[str, ...] = ()
    port_label: str | None = None
    behind: Callable[[Labels, Labels], str | None] = lambda labels, selector: None
    router: Callable[[Labels, Labels], str | None] = lambda labels, selector: None


def _of_ollama(labels: Labels, selector: Labels) -> bool:
    return labels.get("app.kubernetes.io/name") == "ollama" or bool(
        _OLLAMA_CHART.match(labels.get("helm.sh/chart", ""))
    )


def _of_stack(labels: Labels, component: str) -> bool:
    return labels.get(_PART_OF) == "vllm-stack" and labels.get(_COMPONENT) == component


def _engine(labels: Labels, selector: Labels) -> bool:
    # Until 2026, Services of engines had only labels from the values; the selector has always named the release.
    return _of_stack(labels, "serving-engine") or {"helm-release-name", "model"} <= selector.keys()


def _router(labels: Labels, selector: Labels) -> bool:
    old = labels.get("environment") == "router" and labels.get("release") == "router"
    return _of_stack(labels, "router") or old


def _release(labels: Labels, selector: Labels) -> str | None:
    return selector.get("helm-release-name") or labels.get(_RELEASE)


def _of_llm_d(labels: Labels, selector: Labels) -> bool:
    serving = any({**labels, **selector}.get(label) == "true" for label in _LLM_D_SERVING)
    role = selector.get("llm-d.ai/role", labels.get("llm-d.ai/role"))
    return serving and role != "prefill"  # only decode pods call a prefill pod


CHARTS: Final = (
    # https://github.com/otwld/ollama-helm templates/_helpers.tpl, templates/service.yaml
    Chart(name="Ollama's chart", provider="ollama", made=_of_ollama, ports=("http",)),
    # https://github.com/vllm-project/production-stack helm/templates/service-router.yaml, service-vllm.yaml
    Chart(
        name="vLLM production-stack's router",
        provider="openai-compatible",
        made=_router,
        ports=("router-sport",),
        router=_release,
    ),
    Chart(
        name="vLLM production-stack",
        provider="openai-compatible",
        made=_engine,
        ports=("service-port",),
        behind=_release,
    ),
    # https://github.com/llm-d-incubation/llm-d-modelservice templates/_helpers.tpl, templates/decode-headless-svc.yaml
    Chart(
        name="llm-d",
        provider="openai-compatible",
        made=_of_llm_d,
        ports=("http",),
    ),
    # https://github.com/vllm-project/aibrix samples/quickstart/model.yaml, pkg/constants/model.go
    Chart(
        name="AIBrix",
        provider="openai-compatible",
        made=lambda labels, selector: "model.aibrix.ai/name" in labels,
        ports=("serve",),
        port_label=AIBRIX_PORT,
    ),
)


def chart_of(labels: Labels, selector: Labels) -> Chart | None:
    """Return the chart whose Service has *labels* and *selector*, or None."""
    return next((chart for chart in CHARTS if chart.made(labels, selector)), None)
