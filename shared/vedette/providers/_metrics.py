"""Reads servers' load from Prometheus metrics: one `Metrics` for each kind of server.

Names and meanings come from recorded pages (llama.cpp 2026.10, vLLM 0.32.0) and the projects' documents as of 2026-11:
SGLang "Production Metrics", TGI "Metrics", NVIDIA Dynamo "Metrics Catalog" 1.7, llm-d "Router Metrics", LiteLLM
"Prometheus metrics" 1.108, LMDeploy "Production Metrics".
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from vedette.providers import Activity, ModelActivity
from vedette.providers._lenient import is_name, number

MAX_BYTES: Final = 1024 * 1024
MAX_SAMPLES: Final = 2_000
MAX_MODELS: Final = 64
_MAX_LINE: Final = 4096  # characters; longer ones are not read
# A label value may hold any character. A time and an exemplar may follow the value of a sample; they are ignored.
_LABELS: Final = r"""\{(?:[^"}]|"(?:[^"\\]|\\.)*")*+\}"""
_SAMPLE: Final = re.compile(rf"(?P<series>[^\s{{]+\s*(?:{_LABELS})?)\s*(?P<value>\S+)")

Samples = Mapping[
    str, list[tuple[str, float]]
]  # by metric name: model name ("" if the sample has none) and value of each sample


class Metrics(Struct, frozen=True, kw_only=True):
    """The metric names that one kind of server uses for its load. Several names: of different versions."""

    product: str
    running: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    cache_use: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()  # a counter of output tokens
    counts_live: bool = True  # False: the counter includes a request's tokens only when it ends
    output_tps: tuple[str, ...] = ()  # a gauge of output tokens per second
    replicas: tuple[str, ...] = ()  # a gauge: the number of servers over which the other figures are means
    running_includes_waiting: bool = False
    own: int = 0  # running requests that are our own request for this page
    selects: bool = False  # the page takes the parameter `name[]` (Python's prometheus_client)

    @property
    def names(self) -> tuple[str, ...]:
        """All metric names of this kind of server."""
        return (
            *self.running,
            *self.waiting,
            *self.slots,
            *self.cache_use,
            *self.generated,
            *self.output_tps,
            *self.replicas,
        )


LLAMA_CPP: Final = Metrics(
    product="llama.cpp",
    running=("llamacpp:requests_processing",),
    waiting=("llamacpp:requests_deferred",),
    cache_use=("llamacpp:kv_cache_usage_ratio",),  # until 2025
    generated=("llamacpp:tokens_predicted_total",),
    counts_live=False,
)
VLLM: Final = Metrics(
    product="vllm",
    running=("vllm:num_requests_running",),
    waiting=("vllm:num_requests_waiting",),
    cache_use=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    generated=("vllm:generation_tokens_total",),
    selects=True,
)
APHRODITE: Final = Metrics(
    product="aphrodite",
    running=("aphrodite:num_requests_running",),
    waiting=("aphrodite:num_requests_waiting",),
    cache_use=("aphrodite:kv_cache_usage_perc", "aphrodite:gpu_cache_usage_perc"),
    generated=("aphrodite:generation_tokens_total",),
    selects=True,
)
SGLANG: Final = Metrics(
    product="sglang",
    running=("sglang:num_running_reqs",),
    waiting=("sglang:num_queue_reqs",),
    cache_use=("sglang:token_usage",),
    generated=("sglang:generation_tokens_total",),
    counts_live=False,
    output_tps=("sglang:gen_throughput",),
    selects=True,
)
TGI: Final = Metrics(
    product="text-generation-inference",
    running=("tgi_batch_current_size",),
    waiting=("tgi_queue_size",),
    generated=("tgi_request_generated_tokens_sum",),
    counts_live=False,
)
DYNAMO: Final = Metrics(
    product="dynamo",
    running=("dynamo_frontend_inflight_requests",),
    waiting=("dynamo_frontend_queued_requests",),
    generated=("dynamo_frontend_output_tokens_total",),
    running_includes_waiting=True,
)
LLM_D: Final = Metrics(
    product="llm-d",
    running=("llm_d_epp_average_running_requests", "inference_pool_average_running_requests"),
    waiting=("llm_d_epp_average_queue_size", "inference_pool_average_queue_size"),
    cache_use=("llm_d_epp_average_kv_cache_utilization", "inference_pool_average_kv_cache_utilization"),
    replicas=("llm_d_epp_ready_endpoints", "inference_pool_ready_pods"),
)
LITELLM: Final = Metrics(product="litellm", running=("litellm_in_flight_requests",), own=1, selects=True)
LMDEPLOY: Final = Metrics(
    product="lmdeploy",
    running=("lmdeploy:num_requests_running",),
    waiting=("lmdeploy:num_requests_waiting",),
    cache_use=("lmdeploy:gpu_cache_usage_perc",),
    selects=True,
)
# Routers first: their pages may repeat the figures of the engines behind them.
ALL: Final = (DYNAMO, LLM_D, LITELLM, VLLM, APHRODITE, SGLANG, TGI, LMDEPLOY, LLAMA_CPP)


def selecting(metrics: Metrics) -> str:
    """Return the path of a page with the names of *metrics* only, for servers that can select names."""
    return f"metrics/?{urlencode([('name[]', name) for name in metrics.names])}"


def samples(exposition: str, names: Iterable[str]) -> Samples:
    """Return the samples of *names* in a Prometheus text exposition, at most 2,000.

    Lines that cannot be read are skipped, and so are values that are NaN, below 0 or above 10**15.
    """
    wanted = tuple(names)
    lines = [line for line in exposition.splitlines() if line.startswith(wanted)][:MAX_SAMPLES]
    found: dict[str, list[tuple[str, float]]] = {}
    for line in lines:
        if (sample := _sample(line)) is None:
            continue
        name, model, value = sample
        if name in wanted:
            found.setdefault(name, []).append((model, value))
    return found


def _sample(line: str) -> tuple[str, str, float] | None:
    """Return name, model and value of the sample in *line*; None if it cannot be read."""
    written = _SAMPLE.match(line) if len(line) <= _MAX_LINE else None
    if written is None or (series := _series(written["series"])) is None:
        return None
    try:
        value = number(float(written["value"]))
    except ValueError:
        return None
    return None if value is None else (*series, value)


@lru_cache(maxsize=1024)
def _series(written: str) -> tuple[str, str] | None:
    """Return the name of a series and its model ("" if no label names one); None if it cannot be read.

    Cached, because each page repeats the same series.
    """
    try:
        (family,) = text_string_to_metric_families(f"{written} 0\n")
        (sample,) = family.samples
    except ValueError:
        return None
    model = sample.labels.get("model_name") or sample.labels.get("model") or ""
    return sample.name, model if is_name(model) else ""


def activity(found: Samples, kinds: Iterable[Metrics] = ALL) -> Activity | None:
    """Return the load in the samples *found*; None if none of *kinds* finds its number of running requests.

    The first of *kinds* that finds it reads the samples.
    """
    metrics = next((one for one in kinds if _named(found, one.running)), None)
    if metrics is None:
        return None
    models = _busiest(found, metrics)
    whole = _figures(found, metrics, lambda _: True)
    return Activity(
        running=whole.running,
        waiting=whole.waiting,
        slots=whole.slots,
        cache_use=whole.cache_use,
        generated_tokens=whole.generated_tokens,
        counts_live=metrics.counts_live,
        output_tps=whole.output_tps,
        models={model: _figures(found, metrics, model.__eq__) for model in models},
        source=f"{metrics.product} metrics",
    )


def _busiest(found: Samples, metrics: Metrics) -> list[str]:
    """Return the names of the models in the samples, sorted; at most 64, those with the most requests."""
    requests: Counter[str] = Counter()
    for model, value in (*_named(found, metrics.running), *_named(found, metrics.waiting)):
        requests[model] += 1 + round(value)
    del requests[""]
    return sorted(model for model, _ in requests.most_common(MAX_MODELS))


def _figures(found: Samples, metrics: Metrics, counts: Callable[[str], bool]) -> ModelActivity:
    def values(names: tuple[str, ...]) -> list[float]:
        return [value for model, value in _named(found, names) if counts(model)]

    def total(names: tuple[str, ...]) -> float | None:
        return sum(held) if (held := values(names)) else None

    # A mean gives a total only if the number of servers is reported.
    servers = 1.0 if not metrics.replicas else total(metrics.replicas)
    running, waiting = total(metrics.running), total(metrics.waiting)
    if running is not None and metrics.running_includes_waiting:
        running = max(0.0, running - (waiting or 0.0))
    generated = total(metrics.generated)
    use, slots = values(metrics.cache_use), total(metrics.slots)
    return ModelActivity(
        running=None
        if running is None or servers is None
        else max(0, round(running * servers) - metrics.own),
        waiting=None if waiting is None or servers is None else round(waiting * servers),
        slots=None if slots is None else round(slots),
        # The mean of several engines, because a request may go to any of them.
        cache_use=sum(use) / len(use) if use and max(use) <= 1 else None,
        generated_tokens=None if generated is None else round(generated),
        output_tps=total(metrics.output_tps),
    )


def _named(found: Samples, names: tuple[str, ...]) -> list[tuple[str, float]]:
    """Return the samples under the first of *names* that *found* has; empty if it has none."""
    return next((found[name] for name in names if name in found), [])
