"""Objects of a namespace become endpoints, or say why they do not.

The objects have the shape of those that the named charts and controllers make; they were written for these tests.
"""

from typing import Any

import pytest

from vedette.settings.sources import Kubernetes
from vedette_discoverer.sources.kubernetes.kinds import KINDS, role_rules
from vedette_discoverer.sources.kubernetes.reading import MAX_REFUSED, NONE_READY, ZERO, Rules, read
from vedette_discoverer.sources.kubernetes.world import World
from vedette_discoverer.sources.view import View

PROVIDERS = ("anthropic", "ollama", "openai-compatible")
Object = dict[str, Any]


def service(
    name: str,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    selector: dict[str, str] | None = None,
    ports: list[Object] | None = None,
    **spec: Any,
) -> Object:
    """Return a Service with one port 8000, unless *ports* are given; `provider=` is its annotation."""
    given = {f"vedette.dev/{key}": value for key, value in (annotations or {}).items()}
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "ml", "labels": labels or {}, "annotations": given},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.96.7.7",
            "ports": [{"port": 8000, "protocol": "TCP", "targetPort": 8000}] if ports is None else ports,
            "selector": {"app": name} if selector is None else selector,
            **spec,
        },
    }


def slice_of(
    name: str, *pods: str, ready: bool | None = True, port: Object | None = None, **conditions: bool
) -> Object:
    """Return the EndpointSlice of a Service with *pods*, `name=address` each."""
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-abcde",
            "namespace": "ml",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": [pod.partition("=")[2]],
                "conditions": ({} if ready is None else {"ready": ready}) | conditions,
                "hostname": pod.partition("=")[0],
                "targetRef": {"kind": "Pod", "namespace": "ml", "name": pod.partition("=")[0]},
            }
            for pod in pods
        ]
        or None,
        "ports": [{"name": "", "port": 8000, "protocol": "TCP"} if port is None else port],
    }


def seen(*objects: Object, **settings: Any) -> View:
    """Return what a namespace with *objects* gives."""
    by_kind: dict[str, list[Object]] = {}
    for one in objects:
        by_kind.setdefault(one["kind"], []).append(one)
    rules = Rules(settings=Kubernetes(enabled=True, **settings), providers=PROVIDERS)
    return read(World(namespace="ml", objects=by_kind), rules)


def urls(view: View) -> dict[str, str]:
    return {one.name: one.settings["url"] for one in view.wanted}


VLLM = {"provider": "openai-compatible"}


def test_an_annotated_service_is_an_endpoint() -> None:
    view = seen(service("qwen", annotations=VLLM), slice_of("qwen", "qwen-0=10.244.0.5"))
    (one,) = view.wanted
    assert (one.name, one.origin, one.state, one.reason) == ("ml-qwen", "Service ml/qwen", "there", "")
    assert one.settings == {"provider": "openai-compatible", "url": "http://qwen.ml.svc:8000"}
    assert one.key is None
    assert view.refused == ()


def test_a_service_without_annotation_or_known_chart_is_left_alone() -> None:
    assert seen(service("postgres", ports=[{"port": 5432}])) == View()


def test_annotations_are_laid_over_the_service() -> None:
    annotations = VLLM | {
        "name": "fast",
        "port": "api",
        "path": "/v2/llm",
        "scheme": "https",
        "key": "vllm",
        "host-group": "rack-1",
        "locality": "remote",
        "models": "qwen3:8b, org/llama",
        "measure": "false",
        "flavour": "vllm",
    }
    ports = [{"name": "metrics", "port": 9090}, {"name": "api", "port": 8443}]
    (one,) = seen(
        service("qwen", annotations=annotations, ports=ports),
        slice_of("qwen", "qwen-0=10.244.0.5"),
        domain="cluster.local",
    ).wanted
    assert one.name == "ml-fast"
    assert one.key == "ml/vllm"
    assert one.settings == {
        "provider": "openai-compatible",
        "url": "https://qwen.ml.svc.cluster.local:8443/v2/llm",
        "flavour": "vllm",
        "host_group": "ml/rack-1",
        "locality": "remote",
        "models": ["qwen3:8b", "org/llama"],
        "measure": False,
    }


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({"path": "/v1"}, "vedette.dev/provider is missing"),
        ({"provider": "olama"}, "no provider is called 'olama'; did you mean \"ollama\"?"),
        (
            {"provider": "vllm"},
            "no provider is called 'vllm'; most servers are openai-compatible; known: anth",
        ),
        (VLLM | {"prot": "8000"}, 'vedette.dev/prot: unknown; did you mean "vedette.dev/port"?'),
        (VLLM | {"port": "8080"}, "vedette.dev/port: the Service has no port 8080; it has 8000"),
        (VLLM | {"port": "http://evil"}, "vedette.dev/port: should be the name or the number of a port"),
        (VLLM | {"path": "/../admin"}, "vedette.dev/path: should be a path such as /v1"),
        (VLLM | {"path": "//evil.example.com"}, "vedette.dev/path: should be a path such as /v1"),
        (VLLM | {"path": "/v1?key=1"}, "vedette.dev/path"),
        (VLLM | {"key": "../other/key"}, "vedette.dev/key"),
        (VLLM | {"key": "other/key"}, "vedette.dev/key"),
        (VLLM | {"measure": "true"}, "only an operator allows measuring"),
        (VLLM | {"models": ",".join(map(str, range(101)))}, "vedette.dev/models: 101 names, more than 100"),
        (VLLM | {"models": "a" * 8001}, "vedette.dev/models"),
        (VLLM | {"models": "a\nb"}, "vedette.dev/models: should be names of printable characters"),
        (VLLM | {"name": "-x"}, "vedette.dev/name"),
        (VLLM | {"host-group": "a b"}, "vedette.dev/host-group"),
    ],
)
def test_a_wrong_annotation_is_a_problem_of_that_service_alone(
    annotations: dict[str, str], says: str
) -> None:
    """Another one of the namespace is read as ever."""
    view = seen(service("bad", annotations=annotations), service("good", annotations=VLLM))
    assert [one.name for one in view.wanted] == ["ml-good"]
    (refused,) = view.refused
    assert (refused.name, refused.origin) == ("ml-bad", "Service ml/bad")
    assert says in refused.reason


def test_an_ignored_service_is_no_endpoint_and_no_problem() -> None:
    assert seen(service("qwen", annotations=VLLM | {"ignore": "true"})) == View()


@pytest.mark.parametrize(
    ("slices", "state", "reason"),
    [
        ([slice_of("qwen", "qwen-0=10.244.0.5")], "there", ""),
        ([slice_of("qwen", "qwen-0=10.244.0.5", ready=None)], "there", ""),  # absent means ready
        ([slice_of("qwen", "qwen-0=10.244.0.5", ready=False)], "there", NONE_READY),
        ([slice_of("qwen", "qwen-0=10.244.0.5", ready=False, terminating=True)], "asleep", ZERO),
        ([slice_of("qwen")], "asleep", ZERO),
        ([], "asleep", ZERO),
    ],
    ids=["ready", "readiness not given", "none ready", "ending", "no pod", "no slice"],
)
def test_what_has_no_pods_is_asleep_and_what_has_none_ready_is_there(
    slices: list[Object], state: str, reason: str
) -> None:
    (one,) = seen(service("qwen", annotations=VLLM), *slices).wanted
    assert (one.state, one.reason) == (state, reason)


@pytest.mark.parametrize(
    ("port", "url"),
    [
        ({"port": 80}, "http://qwen.ml.svc"),
        ({"port": 443}, "https://qwen.ml.svc"),
        ({"port": 8443, "name": "https"}, "https://qwen.ml.svc:8443"),
        ({"port": 8443, "name": "https-api"}, "https://qwen.ml.svc:8443"),
        ({"port": 8443, "name": "api", "appProtocol": "HTTPS"}, "https://qwen.ml.svc:8443"),
        ({"port": 8000, "name": "grpc"}, "http://qwen.ml.svc:8000"),
    ],
)
def test_the_scheme_follows_from_the_port(port: Object, url: str) -> None:
    assert urls(seen(service("qwen", annotations=VLLM, ports=[port]))) == {"ml-qwen": url}


def test_of_several_ports_that_called_http_is_taken_and_otherwise_one_must_be_chosen() -> None:
    ports = [{"name": "grpc", "port": 9000}, {"name": "api", "port": 8000}]
    (refused,) = seen(service("qwen", annotations=VLLM, ports=ports)).refused
    assert refused.reason == "the Service has several ports; choose one by vedette.dev/port: grpc, api"
    ports.append({"name": "http", "port": 8080})
    assert urls(seen(service("qwen", annotations=VLLM, ports=ports))) == {
        "ml-qwen": "http://qwen.ml.svc:8080"
    }


def test_a_headless_service_is_called_at_the_port_of_its_pods() -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    headless = service("qwen", annotations=VLLM, ports=ports, clusterIP="None")
    pods = slice_of("qwen", "qwen-0=10.244.0.5", port={"name": "http", "port": 8000})
    assert urls(seen(headless, pods)) == {"ml-qwen": "http://qwen.ml.svc:8000"}


def test_each_replica_is_an_endpoint_where_asked() -> None:
    """By address; by name where a headless Service gives the pod one. Those that are not ready are left out."""
    each = VLLM | {"replicas": "each"}
    pods = slice_of("qwen", "qwen-0=10.244.0.5", "qwen-1=10.244.0.6")
    view = seen(service("qwen", annotations=each), pods)
    assert urls(view) == {"ml-qwen-0": "http://10.244.0.5:8000", "ml-qwen-1": "http://10.244.0.6:8000"}
    assert [one.origin for one in view.wanted] == ["Service ml/qwen pod qwen-0", "Service ml/qwen pod qwen-1"]
    headless = seen(service("qwen", annotations=each, clusterIP="None"), pods)
    assert urls(headless)["ml-qwen-1"] == "http://qwen-1.qwen.ml.svc:8000"
    assert seen(service("qwen", annotations=each), slice_of("qwen", "qwen-0=1.2.3.4", ready=False)) == View()


def test_no_replica_is_an_endpoint_whose_address_is_of_no_pod_of_the_namespace() -> None:
    """The author of an EndpointSlice could write any address into it."""
    foreign = slice_of("qwen", "qwen-0=10.0.0.1")
    foreign["endpoints"][0]["targetRef"]["namespace"] = "bank"
    assert seen(service("qwen", annotations=VLLM | {"replicas": "each"}), foreign) == View()


def test_an_external_name_needs_leave() -> None:
    external = service("out", annotations=VLLM, type="ExternalName", externalName="api.example.com", ports=[])
    (refused,) = seen(external).refused
    assert "leads to api.example.com, outside its namespace" in refused.reason
    assert urls(seen(external, hosts=("*.example.com",))) == {"ml-out": "http://api.example.com"}


def test_services_before_the_same_pods_are_in_one_host_group() -> None:
    """By their addresses, or since one selects what the other selects."""
    view = seen(
        service("all", annotations=VLLM, selector={"app": "vllm"}),
        service("blue", annotations=VLLM, selector={"app": "vllm", "colour": "blue"}),
        service("by-hand", annotations=VLLM, selector={"run": "it"}),
        service("other", annotations=VLLM, selector={"app": "tgi"}),
        service("own", annotations=VLLM | {"host-group": "rack"}, selector={"app": "vllm"}),
        slice_of("all", "a=10.0.0.1"),
        slice_of("by-hand", "a=10.0.0.1"),
        slice_of("other", "b=10.0.0.2"),
    )
    groups = {one.name: one.settings.get("host_group") for one in view.wanted}
    assert groups == {
        "ml-all": "ml/ml-all",
        "ml-blue": "ml/ml-all",
        "ml-by-hand": "ml/ml-all",
        "ml-other": None,
        "ml-own": "ml/rack",
    }


def test_a_namespace_has_a_limit() -> None:
    """A tenant does not decide how many endpoints there are."""
    many = [service(f"s{n}", annotations=VLLM) for n in range(4)]
    view = seen(*many, max_per_namespace=2)
    assert [one.name for one in view.wanted] == ["ml-s0", "ml-s1"]
    assert [one.name for one in view.refused] == ["ml-s2", "ml-s3"]


def test_refusals_of_a_namespace_have_a_limit() -> None:
    """A tenant's junk leaves room for the refusals of others; it is said that there is more."""
    junk = [service(f"s{n:03}", annotations={"nonsense": "1"}) for n in range(MAX_REFUSED + 5)]
    view = seen(*reversed(junk))
    assert [one.name for one in view.refused] == [f"ml-s{n:03}" for n in range(MAX_REFUSED)]
    assert view.notes == (
        f"namespace ml: more than {MAX_REFUSED} objects are refused, and the others are not shown",
    )
    assert seen(*junk[:MAX_REFUSED]).notes == ()


# Charts that are known ------------------------------------------------------------------------------------------


def test_ollamas_chart_needs_no_annotation() -> None:
    labels = {
        "helm.sh/chart": "ollama-1.31.0",
        "app.kubernetes.io/name": "ollama",
        "app.kubernetes.io/instance": "chat",
        "app.kubernetes.io/managed-by": "Helm",
    }
    ports = [{"name": "http", "port": 11434, "targetPort": "http", "protocol": "TCP"}]
    (one,) = seen(service("chat-ollama", labels=labels, ports=ports)).wanted
    assert one.settings == {"provider": "ollama", "url": "http://chat-ollama.ml.svc:11434"}


def stack(component: str, name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": "prod",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "vllm-stack",
        "app.kubernetes.io/managed-by": "helm",
    }


ENGINE = service(
    "prod-llama3-engine-service",
    labels=stack("serving-engine", "llama3") | {"environment": "test", "release": "test"},
    selector={"model": "llama3", "helm-release-name": "prod"},
    ports=[
        {"name": "service-port", "port": 80, "targetPort": "container-port"},
        {"name": "zmq-port", "port": 55555},
    ],
)
ROUTER = service(
    "prod-router-service",
    labels=stack("router", "router") | {"environment": "router", "release": "router"},
    ports=[{"name": "router-sport", "port": 80, "targetPort": 8000}, {"name": "lmcache-port", "port": 9000}],
)
CACHE = service("prod-cache-server-service", labels=stack("cache-server", "cache-server"))


def test_of_vllms_stack_the_router_is_the_endpoint_and_without_it_each_engine() -> None:
    assert urls(seen(ENGINE, ROUTER, CACHE)) == {
        "ml-prod-router-service": "http://prod-router-service.ml.svc"
    }
    assert urls(seen(ENGINE, CACHE)) == {
        "ml-prod-llama3-engine-service": "http://prod-llama3-engine-service.ml.svc"
    }


def test_engines_of_older_stacks_are_known_by_their_selector() -> None:
    old = service(
        "prod-llama3-engine-service",
        labels={"environment": "test", "release": "test"},
        selector={"model": "llama3", "helm-release-name": "prod"},
    )
    assert list(urls(seen(old))) == ["ml-prod-llama3-engine-service"]


@pytest.mark.parametrize("label", ["llm-d.ai/inferenceServing", "llm-d.ai/inference-serving"])
def test_decode_services_of_llm_d_are_endpoints_and_prefill_ones_are_not(label: str) -> None:
    services = [
        service(
            f"ms-{role}-headless",
            labels={"llm-d.ai/role": role},
            selector={label: "true", "llm-d.ai/role": role},
            ports=[{"name": "http", "port": 8000}],
            clusterIP="None",
        )
        for role in ("decode", "prefill")
    ]
    assert urls(seen(*services)) == {"ml-ms-decode-headless": "http://ms-decode-headless.ml.svc:8000"}


def test_aibrix_says_the_port_by_a_label_or_calls_it_serve() -> None:
    ports = [{"name": "serve", "port": 8000}, {"name": "http", "port": 8080}]
    labels = {"model.aibrix.ai/name": "deepseek", "prometheus-discovery": "true"}
    assert urls(seen(service("deepseek", labels=labels, ports=ports))) == {
        "ml-deepseek": "http://deepseek.ml.svc:8000"
    }
    labelled = labels | {"model.aibrix.ai/port": "8080"}
    assert urls(seen(service("deepseek", labels=labelled, ports=ports))) == {
        "ml-deepseek": "http://deepseek.ml.svc:8080"
    }


# Model servers of other controllers -----------------------------------------------------------------------------


def inference_service(name: str = "llama", **status: Any) -> Object:
    return {
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "ml"},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "huggingface"}}}},
        "status": status,
    }


RAW = {
    "url": "http://llama-ml.example.com",
    "address": {"url": "http://llama-predictor.ml.svc.cluster.local"},
    "components": {"predictor": {}},
}
KNATIVE = {
    "url": "http://llama.ml.example.com",
    "address": {"url": "http://llama.ml.svc.cluster.local"},
    "components": {"predictor": {"latestReadyRevision": "llama-predictor-00002"}},
}


def test_kserves_language_models_are_endpoints_under_openai() -> None:
    view = seen(inference_service(**RAW), slice_of("llama-predictor", "p=10.0.0.1"))
    assert urls(view) == {"ml-llama": "http://llama-predictor.ml.svc.cluster.local/openai"}
    other = inference_service(**RAW)
    other["spec"]["predictor"]["model"]["modelFormat"]["name"] = "sklearn"
    assert seen(other) == View()


def test_what_knative_scaled_to_zero_is_asleep_by_its_private_service() -> None:
    """The public one leads to the activator, which would wake it."""
    public = slice_of("llama-predictor-00002", "activator=10.9.9.9")
    awake = slice_of("llama-predictor-00002-private", "p=10.0.0.1")
    zero = slice_of("llama-predictor-00002-private")
    assert [one.state for one in seen(inference_service(**KNATIVE), public, zero).wanted] == ["asleep"]
    assert [one.state for one in seen(inference_service(**KNATIVE), public, awake).wanted] == ["there"]


def test_an_inference_service_without_an_address_is_none_yet() -> None:
    assert seen(inference_service()) == View()


def test_services_that_kserve_made_are_no_endpoints_of_their_own() -> None:
    """It copies annotations to them."""
    part = service("llama-predictor", annotations=VLLM)
    part["metadata"]["ownerReferences"] = [
        {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"}
    ]
    assert seen(part) == View()


def llm_inference_service(*addresses: str, **spec: Any) -> Object:
    return {
        "kind": "LLMInferenceService",
        "metadata": {"name": "qwen", "namespace": "ml", "annotations": spec.pop("annotations", {})},
        "spec": spec,
        "status": {"url": addresses[0], "addresses": [{"url": url} for url in addresses]},
    }


INSIDE = "https://qwen-kserve-workload-svc.ml.svc.cluster.local:8000"
OUTSIDE = "http://gateway.example.com/ml/qwen"


def test_an_llm_inference_service_leads_to_its_namespace_or_to_hosts_that_are_allowed() -> None:
    assert urls(seen(llm_inference_service(OUTSIDE, INSIDE))) == {"ml-qwen": INSIDE}
    assert "gateway.example.com" in seen(llm_inference_service(OUTSIDE)).refused[0].reason
    assert urls(seen(llm_inference_service(OUTSIDE), hosts=("gateway.example.com",))) == {"ml-qwen": OUTSIDE}
    other = "http://admin.kube-system.svc.cluster.local"
    assert seen(llm_inference_service(other)).wanted == ()


@pytest.mark.parametrize(
    "spec", [{"replicas": 0}, {"annotations": {"serving.kserve.io/stop": "true"}}, {"slices": True}]
)
def test_an_llm_inference_service_may_be_asleep(spec: dict[str, Any]) -> None:
    slices = [slice_of("qwen-kserve-workload-svc")] if spec.pop("slices", False) else []
    (one,) = seen(llm_inference_service(INSIDE, **spec), *slices).wanted
    assert one.state == "asleep"


GATEWAY = service(
    "inference-gateway-istio",
    labels={"gateway.networking.k8s.io/gateway-name": "inference-gateway"},
    ports=[{"name": "status-port", "port": 15021}, {"name": "default", "port": 80}],
)


def pool(**status: Any) -> Object:
    return {
        "kind": "InferencePool",
        "metadata": {"name": "qwen-pool", "namespace": "ml"},
        "spec": {
            "selector": {"matchLabels": {"app": "qwen"}},
            "targetPorts": [{"number": 8000}],
            "endpointPickerRef": {"name": "qwen-epp", "port": {"number": 9002}},
        },
        "status": status,
    }


PARENT = {"parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "inference-gateway"}}


def test_an_inference_pool_is_called_at_the_service_of_its_gateway() -> None:
    assert urls(seen(pool(parents=[PARENT]), GATEWAY)) == {
        "ml-qwen-pool": "http://inference-gateway-istio.ml.svc"
    }
    assert urls(seen(pool(parent=[PARENT]), GATEWAY)) == {
        "ml-qwen-pool": "http://inference-gateway-istio.ml.svc"
    }
    assert seen(pool(), GATEWAY) == View()
    assert "no Service of its namespace has the label" in seen(pool(parents=[PARENT])).refused[0].reason


def test_an_inference_pool_without_pods_is_asleep_if_a_service_selects_the_same() -> None:
    shadow = service("qwen-pool-ip-1234", selector={"app": "qwen"}, clusterIP="None")
    zero = seen(pool(parents=[PARENT]), GATEWAY, shadow, slice_of("qwen-pool-ip-1234"))
    assert [(one.state, one.reason) for one in zero.wanted] == [("asleep", ZERO)]


def test_a_pool_and_a_service_of_the_same_pods_take_turns() -> None:
    view = seen(pool(parents=[PARENT]), GATEWAY, service("qwen", annotations=VLLM))
    assert {one.settings.get("host_group") for one in view.wanted} == {"ml/ml-qwen"}


KUBEAI = service("kubeai", labels={"app.kubernetes.io/name": "kubeai"}, ports=[{"name": "http", "port": 80}])


def model(name: str, features: list[str], **replicas: int) -> Object:
    return {
        "kind": "Model",
        "metadata": {"name": name, "namespace": "ml"},
        "spec": {
            "engine": "VLLM",
            "features": features,
            "adapters": [{"name": "sql", "url": "hf://a/b"}],
            "minReplicas": 0,
        },
        "status": {"replicas": replicas},
    }


def test_each_model_of_kubeai_is_an_endpoint_with_its_own_state() -> None:
    view = seen(
        KUBEAI,
        model("gemma", ["TextGeneration"], all=1, ready=1),
        model("idle", ["TextGeneration"], all=0, ready=0),
        model("loading", ["TextEmbedding"], all=1, ready=0),
        model("whisper", ["SpeechToText"], all=1, ready=1),
    )
    assert [(one.name, one.state, one.reason) for one in view.wanted] == [
        ("ml-gemma", "there", ""),
        ("ml-idle", "asleep", ZERO),
        ("ml-loading", "there", NONE_READY),
    ]
    assert view.wanted[0].settings == {
        "provider": "openai-compatible",
        "url": "http://kubeai.ml.svc/openai",
        "host_group": "ml/gemma",
        "models": ["gemma", "gemma_sql"],
    }


def test_the_role_allows_reading_each_kind_and_nothing_else() -> None:
    rules = role_rules()
    assert {resource for rule in rules for resource in rule["resources"]} == {kind.plural for kind in KINDS}
    assert all(rule["verbs"] == ["get", "list", "watch"] for rule in rules)
    assert "secrets" not in str(rules)


@pytest.mark.parametrize("nonsense", [None, 7, "text", [], [None], {"a": None}])
def test_no_field_of_an_object_is_trusted_to_have_its_type(nonsense: Any) -> None:
    """An API with a newer version, or a controller with a fault, gives other shapes."""
    objects = [
        {"kind": kind.name, "metadata": {"name": "x", "annotations": {"vedette.dev/provider": "ollama"}}}
        | {key: nonsense}
        for kind in KINDS
        for key in ("spec", "status", "endpoints", "ports")
    ]
    broken = service("x", annotations=VLLM)
    broken["spec"] = dict.fromkeys(broken["spec"], nonsense)
    seen(*objects, broken)
