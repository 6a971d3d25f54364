"""From the objects of a namespace to endpoints, or to the reason why an object is no endpoint. Pure.

Tenants write the objects. So each object is read separately, and a mistake in one does not affect the others.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from vedette.settings.sources import Kubernetes
from vedette_discoverer.sources import asking
from vedette_discoverer.sources.asking import PREFIX, Asked
from vedette_discoverer.sources.kubernetes import charts, places
from vedette_discoverer.sources.kubernetes.charts import Chart
from vedette_discoverer.sources.kubernetes.kinds import (
    INFERENCE_POOL,
    INFERENCE_SERVICE,
    LLM_INFERENCE_SERVICE,
    MODEL,
    SERVICE,
    Kind,
)
from vedette_discoverer.sources.kubernetes.world import (
    Behind,
    Object,
    Pod,
    World,
    annotations_of,
    behind,
    labels_of,
    name_of,
)
from vedette_discoverer.sources.naming import named
from vedette_discoverer.sources.shapes import at, mapping, sequence, words
from vedette_discoverer.sources.view import Refused, Unfit, View, Wanted

_OPENAI: Final = "openai-compatible"
MAX_REFUSED: Final = 20  # of one namespace, so that there is room for those of other namespaces
ZERO: Final = "scaled to zero"
NONE_READY: Final = "none of its pods is ready"
_STOPPED: Final = "stopped by serving.kserve.io/stop"
_STATUS_PORTS: Final = ("status-port", "metrics", "http-metrics")
_HTTP_PORTS: Final = ("http", "https", "default")
_GENERATES: Final = frozenset({"TextGeneration", "TextEmbedding", "Reranking"})


class Rules(Struct, frozen=True, kw_only=True):
    """The operator's rules, and the installed providers."""

    settings: Kubernetes
    providers: Collection[str]


class _Found(Struct, frozen=True, kw_only=True):
    """An endpoint, with its pods and their selector, which show the endpoints that share a host group."""

    wanted: Wanted
    grouped: bool  # whether its host group is already set
    selector: Mapping[str, str] = {}
    pods: frozenset[str] = frozenset()


def read(world: World, rules: Rules) -> View:
    """Return the endpoints of a namespace, and the objects that ask to be one and are none."""
    readers: tuple[tuple[Kind, Callable[[World, Object, Asked, Rules], Iterable[_Found]]], ...] = (
        (SERVICE, _service),
        (INFERENCE_SERVICE, _inference_service),
        (LLM_INFERENCE_SERVICE, _llm_inference_service),
        (INFERENCE_POOL, _pool),
        (MODEL, _model),
    )
    found: list[_Found] = []
    refused: list[Refused] = []
    for kind, reader in readers:
        for thing in world.of(kind):
            origin = f"{kind.name} {world.namespace}/{name_of(thing)}"
            try:
                ask = asking.asked(annotations_of(thing), providers=rules.providers)
                if ask.ignore != "true":
                    found += [_as_of(origin, one) for one in reader(world, thing, ask, rules)]
            except Unfit as why:
                name = named(world.namespace, name_of(thing))
                refused.append(Refused(name=name, origin=origin, reason=str(why)))
    kept, too_many = found[: rules.settings.max_per_namespace], found[rules.settings.max_per_namespace :]
    limit = f"the namespace has more than {rules.settings.max_per_namespace} (max_per_namespace)"
    refused += [Refused(name=one.wanted.name, origin=one.wanted.origin, reason=limit) for one in too_many]
    shown = sorted(refused, key=lambda one: one.origin)[:MAX_REFUSED]
    more = f"namespace {world.namespace}: more than {MAX_REFUSED} objects are refused, and the others are not shown"
    return View(
        wanted=tuple(_in_groups(world.namespace, kept)),
        refused=tuple(shown),
        notes=(more,) if len(shown) < len(refused) else (),
    )


def _as_of(origin: str, found: _Found) -> _Found:
    pod = found.wanted.origin
    whole = f"{origin} {pod}" if pod else origin
    return msgspec.structs.replace(found, wanted=msgspec.structs.replace(found.wanted, origin=whole))


def _made(
    world: World,
    ask: Asked,
    name: str,
    url: str,
    *,
    stands: Behind | None,
    provider: str = _OPENAI,
    models: Sequence[str] = (),
    group: str | None = None,
    pod: Pod | None = None,
    state: tuple[str, str] | None = None,
    selector: Mapping[str, str] | None = None,
) -> _Found:
    """Return an endpoint of *world* at *url*. Its state is *state* (name, reason), else that of the pods *stands*."""
    asked_group = f"{world.namespace}/{ask.host_group}" if ask.host_group else None
    settings = asking.settings_of(ask, provider=provider, url=url, group=asked_group or group)
    if models and "models" not in settings:
        settings["models"] = list(models)
    said, reason = state or _state(stands)
    return _Found(
        wanted=Wanted(
            name=name,
            origin=f"pod {pod.pod}" if pod else "",
            settings=settings,
            key=f"{world.namespace}/{ask.key}" if ask.key else None,
            state="asleep" if said == "asleep" else "there",
            reason=reason,
        ),
        grouped=asked_group is not None or group is not None,
        selector=selector or {},
        pods=frozenset([pod.address] if pod else [one.address for one in stands.pods] if stands else []),
    )


def _state(stands: Behind | None) -> tuple[str, str]:
    if stands is None:
        return "there", ""
    if not stands.pods:
        return "asleep", ZERO
    return "there", "" if stands.ready else NONE_READY


def _called(world: World, thing: Object, ask: Asked) -> str:
    return named(world.namespace, ask.name or name_of(thing))


# Services ------------------------------------------------------------------------------------------------------


def _service(world: World, thing: Object, ask: Asked, rules: Rules) -> Iterator[_Found]:
    if _is_part(thing):
        return
    spec, name = mapping(thing.get("spec")), name_of(thing)
    selector = words(spec.get("selector"))
    chart = charts.chart_of(labels_of(thing), selector)
    if ask.provider is None:
        if chart is None:
            if any(key.startswith(PREFIX) for key in annotations_of(thing)):
                raise Unfit(f"{PREFIX}provider is missing; it makes a Service an endpoint")
            return
        release = chart.behind(labels_of(thing), selector)
        if release is not None and release in _routers(world):
            return  # its router is the endpoint; with vedette.dev/provider, this Service is one, too
    provider = ask.provider or (chart.provider if chart else _OPENAI)
    if spec.get("type") == "ExternalName":
        yield _external(world, thing, ask, provider, rules)
        return
    stands = behind(world, name) or Behind()
    port = _port(spec, ask, chart, labels_of(thing))
    scheme = _scheme(port, ask)
    number = _number(port)
    if spec.get("clusterIP") == "None":  # headless: DNS gives addresses of pods, so the port of the pods
        number = stands.ports.get(str(port.get("name") or ""), _target(port) or number)
    if ask.replicas == "each":
        yield from _each(world, thing, ask, rules, stands, provider, scheme, port)
        return
    host = places.service_host(name, world.namespace, rules.settings.domain)
    yield _made(
        world,
        ask,
        _called(world, thing, ask),
        places.url_at(scheme, host, number, ask.path or ""),
        stands=stands,
        provider=provider,
        selector=selector,
    )


def _is_part(thing: Object) -> bool:
    """Return whether KServe or Knative made the Service. KServe copies annotations to its Services."""
    owners = map(mapping, sequence(at(thing, "metadata", "ownerReferences")))
    groups = (str(owner.get("apiVersion", "")).partition("/")[0] for owner in owners)
    return any(group == "serving.kserve.io" or group.endswith(".knative.dev") for group in groups)


def _routers(world: World) -> set[str]:
    """Return the releases that have a router."""
    found: set[str] = set()
    for thing in world.of(SERVICE):
        labels, selector = labels_of(thing), words(at(thing, "spec", "selector"))
        chart = charts.chart_of(labels, selector)
        if chart and annotations_of(thing).get(f"{PREFIX}ignore") != "true":
            found |= {release for release in [chart.router(labels, selector)] if release}
    return found


def _external(world: World, thing: Object, ask: Asked, provider: str, rules: Rules) -> _Found:
    host = str(at(thing, "spec", "externalName") or "").rstrip(".").lower()
    ports = sequence(at(thing, "spec", "ports"))
    port = _port(mapping(thing.get("spec")), ask, None, {}) if ports or ask.port else {}
    url = places.url_at(_scheme(port, ask), host, _number(port) if port else None, ask.path or "")
    places.allowed(url, world.namespace, rules.settings.hosts)
    return _made(world, ask, _called(world, thing, ask), url, stands=None, provider=provider)


def _each(
    world: World,
    thing: Object,
    ask: Asked,
    rules: Rules,
    stands: Behind,
    provider: str,
    scheme: str,
    port: Mapping[str, Any],
) -> Iterator[_Found]:
    """Yield an endpoint for each ready pod, by its name in DNS if it has one, else by its address."""
    name = name_of(thing)
    number = stands.ports.get(str(port.get("name") or ""), _target(port) or _number(port))
    headless = at(thing, "spec", "clusterIP") == "None"
    for pod in stands.pods:
        if pod.pod is None or not pod.ready:
            continue
        host = pod.address
        if headless and pod.hostname:
            service = places.service_host(name, world.namespace, rules.settings.domain)
            host = f"{pod.hostname}.{service}"
        yield _made(
            world,
            ask,
            named(world.namespace, ask.name or name, _without(pod.pod, name)),
            places.url_at(scheme, host, number, ask.path or ""),
            stands=Behind(pods=(pod,)),
            provider=provider,
            pod=pod,
        )


def _without(pod: str, service: str) -> str:
    return pod.removeprefix(f"{service}-")


def _port(
    spec: Mapping[str, Any], ask: Asked, chart: Chart | None, labels: Mapping[str, str]
) -> Mapping[str, Any]:
    """Return the port of a Service: the requested one, its chart's, one named http, or its only one. Raises Unfit."""
    ports = [one for one in map(mapping, sequence(spec.get("ports"))) if one.get("protocol", "TCP") == "TCP"]
    if ask.port is not None:
        for one in ports:
            if ask.port in (one.get("name"), str(one.get("port"))):
                return one
        if spec.get("type") == "ExternalName" and ask.port.isdecimal():
            return {"port": int(ask.port)}
        raise Unfit(f"{PREFIX}port: the Service has no port {ask.port}; it has {_written(ports)}")
    if chart and chart.port_label and (label := labels.get(chart.port_label)):
        ports = [one for one in ports if str(one.get("port")) == label] or ports
    for name in (*(chart.ports if chart else ()), *_HTTP_PORTS):
        if found := next((one for one in ports if one.get("name") == name), None):
            return found
    usable = [one for one in ports if one.get("name") not in _STATUS_PORTS]
    if len(usable) == 1:
        return usable[0]
    if not usable:
        raise Unfit("the Service has no TCP port")
    raise Unfit(f"the Service has several ports; choose one by {PREFIX}port: {_written(usable)}")


def _written(ports: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(str(one.get("name") or one.get("port")) for one in ports) or "none"


def _number(port: Mapping[str, Any]) -> int:
    number = port.get("port")
    if not isinstance(number, int) or not 0 < number < 65536:
        raise Unfit("the port of the Service is not a number from 1 to 65535")
    return number


def _target(port: Mapping[str, Any]) -> int | None:
    target = port.get("targetPort")
    return target if isinstance(target, int) else None


def _scheme(port: Mapping[str, Any], ask: Asked) -> str:
    """Return the requested scheme; else https if the port of the Service shows it, else http."""
    if ask.scheme:
        return ask.scheme
    protocol = str(port.get("appProtocol") or "").lower()
    name = str(port.get("name") or "")
    secure = protocol == "https" or name == "https" or name.startswith("https-") or port.get("port") == 443
    return "https" if secure else "http"


# KServe --------------------------------------------------------------------------------------------------------


def _inference_service(world: World, thing: Object, ask: Asked, rules: Rules) -> Iterator[_Found]:
    """Yield an InferenceService whose predictor is KServe's language model server, or that is annotated.

    https://kserve.github.io/website: the server of the format `huggingface` has its API under /openai. Behind Knative,
    only the private Service of the revision shows pods; a request to the public one would wake the server.
    """
    model_format = at(thing, "spec", "predictor", "model", "modelFormat", "name")
    if ask.provider is None and model_format != "huggingface":
        return
    status = mapping(thing.get("status"))
    predictor = mapping(at(status, "components", "predictor"))
    urls = (at(status, "address", "url"), at(predictor, "address", "url"), status.get("url"))
    url = _address(world, urls, rules)
    if url is None:
        return
    path = ask.path if ask.path is not None else "/openai" if model_format == "huggingface" else ""
    revision = predictor.get("latestReadyRevision")
    service = f"{revision}-private" if revision else f"{name_of(thing)}-predictor"
    yield _made(
        world,
        ask,
        _called(world, thing, ask),
        url.rstrip("/") + path.rstrip("/"),
        stands=behind(world, service),
        state=_stopped(thing),
    )


def _llm_inference_service(world: World, thing: Object, ask: Asked, rules: Rules) -> Iterator[_Found]:
    """Yield an LLMInferenceService once it has an address."""
    status = mapping(thing.get("status"))
    several = [at(one, "url") for one in sequence(status.get("addresses"))]
    url = _address(world, (*several, at(status, "address", "url"), status.get("url")), rules)
    if url is None:
        return
    none = ("asleep", ZERO) if at(thing, "spec", "replicas") == 0 else None
    yield _made(
        world,
        ask,
        _called(world, thing, ask),
        url.rstrip("/") + (ask.path or "").rstrip("/"),
        stands=behind(world, f"{name_of(thing)}-kserve-workload-svc"),
        state=_stopped(thing) or none,
    )


def _stopped(thing: Object) -> tuple[str, str] | None:
    stop = annotations_of(thing).get("serving.kserve.io/stop") == "true"
    return ("asleep", _STOPPED) if stop else None


def _address(world: World, urls: Iterable[Any], rules: Rules) -> str | None:
    """Return the first of *urls* that is allowed, or None if there is no URL yet. Raises Unfit if none is allowed."""
    problem: Unfit | None = None
    for url in urls:
        if not isinstance(url, str):
            continue
        try:
            return places.allowed(url, world.namespace, rules.settings.hosts)
        except Unfit as why:
            problem = problem or why
    if problem:
        raise problem
    return None


# Gateway API inference extension -------------------------------------------------------------------------------


def _pool(world: World, thing: Object, ask: Asked, rules: Rules) -> Iterator[_Found]:
    """Yield an InferencePool at the Service of its Gateway: the pool itself has no address.

    A Gateway's Service has the label gateway.networking.k8s.io/gateway-name (GEP-1762). Only a Service that selects
    the same pods shows whether the pool has pods.
    """
    if ask.replicas == "each":
        raise Unfit(f"{PREFIX}replicas: each is for Services; annotate one that selects the pods of the pool")
    gateways = _gateways(thing, world.namespace)
    if not gateways:
        return  # no Gateway has taken it yet
    service = next((one for one in world.of(SERVICE) if labels_of(one).get(charts.GATEWAY) in gateways), None)
    if service is None:
        raise Unfit(
            f"no Service of its namespace has the label {charts.GATEWAY}: {' or '.join(sorted(gateways))}; "
            "annotate the Service of its Gateway instead"
        )
    port = _port(mapping(service.get("spec")), ask, None, {})
    host = places.service_host(name_of(service), world.namespace, rules.settings.domain)
    selector = _pool_selector(thing)
    same = next(
        (
            behind(world, name_of(one))
            for one in world.of(SERVICE)
            if selector and words(at(one, "spec", "selector")) == selector
        ),
        None,
    )
    yield _made(
        world,
        ask,
        _called(world, thing, ask),
        places.url_at(_scheme(port, ask), host, _number(port), ask.path or ""),
        stands=same,
        selector=selector,
    )


def _gateways(thing: Object, namespace: str) -> set[str]:
    """Return the names of the pool's Gateways in its own namespace. `parent` is v1alpha2's word."""
    status = mapping(thing.get("status"))
    parents = [*sequence(status.get("parents")), *sequence(status.get("parent"))]
    references = [mapping(at(one, "parentRef")) for one in parents]
    return {
        str(one["name"])
        for one in references
        if one.get("name")
        and one.get("kind", "Gateway") == "Gateway"
        and one.get("namespace", namespace) == namespace
    }


def _pool_selector(thing: Object) -> dict[str, str]:
    selector = mapping(at(thing, "spec", "selector"))
    return words(selector.get("matchLabels", selector))


# KubeAI --------------------------------------------------------------------------------------------------------


def _model(world: World, thing: Object, ask: Asked, rules: Rules) -> Iterator[_Found]:
    """Yield a Model of KubeAI: each is one endpoint, because a call through KubeAI wakes the Model that it names."""
    features = set(sequence(at(thing, "spec", "features")))
    if ask.provider is None and features and not features & _GENERATES:
        return
    label, value = charts.KUBEAI
    service = next((one for one in world.of(SERVICE) if labels_of(one).get(label) == value), None)
    if service is None:
        raise Unfit(f"no Service of its namespace has the label {label}: {value}")
    port = _port(mapping(service.get("spec")), ask, None, {})
    host = places.service_host(name_of(service), world.namespace, rules.settings.domain)
    name = name_of(thing)
    adapters = [at(one, "name") for one in sequence(at(thing, "spec", "adapters"))]
    called = _called(world, thing, ask)
    yield _made(
        world,
        ask,
        called,
        places.url_at(
            _scheme(port, ask), host, _number(port), ask.path if ask.path is not None else "/openai"
        ),
        stands=None,
        models=[name, *(f"{name}_{adapter}" for adapter in adapters if isinstance(adapter, str))],
        group=f"{world.namespace}/{name}",
        state=_state_of_model(thing),
    )


def _state_of_model(thing: Object) -> tuple[str, str]:
    replicas = mapping(at(thing, "status", "replicas"))
    if not replicas.get("all"):
        return "asleep", ZERO
    return "there", "" if replicas.get("ready") else NONE_READY


# Host groups ---------------------------------------------------------------------------------------------------


def _in_groups(namespace: str, found: Sequence[_Found]) -> Iterator[Wanted]:
    """Yield the endpoints. Endpoints with the same pods get one host group, so that they are measured in turn."""
    groups = _groups(found)
    for place, one in enumerate(found):
        members = groups[place]
        if one.grouped or len(members) == 1:
            yield one.wanted
            continue
        group = f"{namespace}/{min(found[member].wanted.name for member in members)}"
        yield msgspec.structs.replace(one.wanted, settings={**one.wanted.settings, "host_group": group})


def _groups(found: Sequence[_Found]) -> list[set[int]]:
    """Return for each endpoint the places of all endpoints that share pods with it, directly or through others."""
    groups: list[set[int]] = [{place} for place in range(len(found))]
    for one in range(len(found)):
        for other in range(one):
            if groups[one] is not groups[other] and _share(found[one], found[other]):
                joined = groups[one] | groups[other]
                for place in joined:
                    groups[place] = joined
    return groups


def _share(one: _Found, other: _Found) -> bool:
    """Return whether both have the same pods: by an address, or because one selector includes the other."""
    if one.pods & other.pods:
        return True
    selects = one.selector.items(), other.selector.items()
    return bool(one.selector and other.selector) and (selects[0] <= selects[1] or selects[1] <= selects[0])
