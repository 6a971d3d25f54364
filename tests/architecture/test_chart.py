"""The Helm chart: what values make of it, and what they must not. Rendered by Helm, without a cluster."""

import ipaddress
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from architecture.test_manifests import must_be_restricted, must_fit, pods
from require import missing
from vedette.runtime.reloading import RELOADED
from vedette.settings import Settings, parse
from vedette_discoverer.sources.kubernetes.kinds import role_rules

TOP = Path(__file__).parents[2]
CHART = TOP / "deploy" / "chart"
EXAMPLES = [CHART / "examples" / name for name in ("dev.yaml", "prod.yaml")]
PROBING = ("discoverer", "prober", "benchmarker", "console", "gateway")
# Every part switched on that is off by default.
WHOLE = """
config:
  endpoints:
    gpu: {url: "https://10.1.2.3"}
    lan: {url: "http://192.168.1.7:11434/v1"}
    named: {url: "http://vllm.models:8000"}
  gateway: {keys: {team-a: {sha256: "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}}}
imagePullSecrets: [{name: registry}]
providers: {existingSecret: vedette-providers}
nats: {ca: {secret: nats-ca}}
database: {existingSecret: vedette, ca: {configMap: database-ca}}
discovery: {kubernetes: {enabled: true, namespaces: [models, more]}}
nodeSelector: {kubernetes.io/arch: amd64}
tolerations: [{key: gpu, operator: Exists}]
priorityClassName: high
commonLabels: {team: ml}
serviceAccountAnnotations: {example.com/role: reader}
extraVolumes: [{name: ca, configMap: {name: private-ca}}]
extraVolumeMounts: [{name: ca, mountPath: /run/ca/endpoints, readOnly: true}]
services:
  recorder: {replicas: 2}
  recommender: {autoscaling: {enabled: true}}
  console: {ingress: {enabled: true, host: models.example.com, tlsSecret: tls, className: nginx}}
  gateway: {enabled: true, replicas: 2, service: {type: LoadBalancer}, ingress: {enabled: true, host: llm.example.com}}
networkPolicy: {metricsFrom: [{namespaceSelector: {}}], agentsFrom: [{namespaceSelector: {}}]}
monitoring:
  serviceMonitor: {enabled: true, labels: {release: prometheus}}
  rules: {enabled: true}
  dashboards: {enabled: true}
"""


def helm(*arguments: str, values: str = "") -> subprocess.CompletedProcess[str]:
    """Run Helm with *values* as a file of values."""
    if shutil.which("helm") is None:
        missing("helm", "scripts/kubernetes-tools brings it")
    command = ["helm", *arguments, "--values", "-"]
    return subprocess.run(command, input=values, capture_output=True, text=True, check=False, timeout=120)


@cache
def rendered(values: str = "", *options: str) -> tuple[dict[str, Any], ...]:
    """Return what the chart gives for *values*."""
    done = helm("template", "vedette", str(CHART), "--kube-version", "1.34.0", *options, values=values)
    assert done.returncode == 0, done.stderr
    return tuple(document for document in yaml.safe_load_all(done.stdout) if document)


def of(kind: str, values: str = "", *options: str) -> dict[str, dict[str, Any]]:
    """Return the objects of *kind*, by their names without that of the release."""
    objects = (one for one in rendered(values, *options) if one["kind"] == kind)
    return {one["metadata"]["name"].removeprefix("vedette-"): one for one in objects}


def configuration(values: str) -> Settings:
    """Return the configuration that services read."""
    text = of("ConfigMap", values)["vedette"]["data"]["vedette.toml"]
    return parse(tomllib.loads(text), where="values", environ={})


@pytest.mark.parametrize("values", ["", WHOLE, *(file.read_text() for file in EXAMPLES)])
def test_helm_finds_nothing_wrong(values: str) -> None:
    done = helm("lint", "--strict", str(CHART), "--kube-version", "1.34.0", values=values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "symbolic link" not in done.stdout + done.stderr


def test_values_are_checked_by_what_the_settings_are() -> None:
    command = [sys.executable, str(TOP / "scripts" / "chart-schema"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_overlays_are_what_the_chart_gives() -> None:
    if shutil.which("helm") is None:
        missing("helm", "scripts/kubernetes-tools brings it")
    command = ["bash", str(TOP / "scripts" / "chart"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("imagee: {}", "'imagee' not allowed"),
        ("services: {ticker: {replica: 2}}", "'replica' not allowed"),
        ("config: {endpoint: {}}", "'endpoint' not allowed"),
        ("config: {endpoints: {gpu: {uri: 'http://gpu'}}}", "'uri' not allowed"),
        ("config: {endpoints: {gpu: {api_key: sk-1}}}", "got string, want object"),
        ("config: {nats: {replicas: 9}}", "maximum: got 9, want 5"),
        ("config: {schedule: {avail: 5m}}", "'avail' not allowed"),
        ("nats: {url: 'nats://me:secret@nats:4222'}", "nats/url"),
        ("nats: {bundled: {enabled: false}}", "nats.url: name your NATS servers"),
        ("services: {recorder: {replicas: 2}}", "SQLite has one recorder"),
        ("services: {gateway: {enabled: true}}", "config.gateway.keys"),
        ("services: {console: {ingress: {enabled: true}}}", "services.console.ingress.host"),
        ("services: {console: {route: {enabled: true}}}", "services.console.route.parentRefs"),
        ("commonLabels: {app.kubernetes.io/name: mine}", "invalid propertyName"),
    ],
)
def test_values_that_cannot_work_are_refused(values: str, says: str) -> None:
    done = helm("template", "vedette", str(CHART), "--kube-version", "1.34.0", values=values)
    assert done.returncode != 0
    assert says in done.stderr


@pytest.mark.parametrize("values", ["", WHOLE], ids=["defaults", "everything"])
def test_all_of_it_fits_and_is_restricted(values: str) -> None:
    for one in rendered(values):
        must_fit(one)
    seen = dict(pods(rendered(values)))
    assert len(seen) >= 7
    for name, pod in seen.items():
        must_be_restricted(name, pod, token="discoverer" in name and values == WHOLE)


@pytest.mark.parametrize("whole", [True, False], ids=["null as a whole", "each null"])
def test_a_cluster_may_assign_the_users(whole: bool) -> None:
    """As OpenShift does: no pod names a user or group; the rest of the restrictions stays."""
    values = ("podSecurityContext", "nats.bundled.podSecurityContext")
    keys = ("runAsUser", "runAsGroup", "fsGroup")
    named = values if whole else [f"{value}.{key}" for value in values for key in keys]
    objects = rendered(WHOLE, "--set", ",".join(f"{one}=null" for one in named))
    assert not set(keys) & set(_keys(objects))
    for name, pod in pods(objects):
        must_be_restricted(name, pod, token="discoverer" in name)
    assert set(keys) <= set(_keys(rendered(WHOLE)))


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from value
    if isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _keys(inner)


def test_values_are_the_configuration() -> None:
    """By the same names, whole numbers as such; what is given takes precedence over what the chart sets."""
    settings = configuration(
        """
        config:
          endpoints:
            gone: null
            openai: {provider: openai, api_key: {file: /run/secrets/providers/OPENAI_API_KEY}}
            gpu: {url: "http://gpu:8000", budget: {requests_per_day: 2000000, usd_per_day: 1.5}, exclude: ["*-base"]}
          nats: {expected_models: 100000, replicas: 3}
          http: {port: 8080}
          benchmarking: {run_timeout_s: 90}
          recommend: {use_cases: {triage: {weights: {quality: 1, ttft: 0.5}}}}
          quality: [{model: gpu/a, score: 1, source: "= 2.0", as_of: "2026-07-01"}]
          console: {hosts: [models.example.com]}
          discovery: {grace_s: 120, keys: {vllm: {file: /run/secrets/providers/vllm}}}
          webhooks: [{name: ops, url: "https://ops.example.com", secret: {env: A}, events: [model.found]}]
        """
    )
    gpu = settings.endpoints["gpu"]
    assert gpu.budget is not None
    assert (gpu.budget.requests_per_day, gpu.budget.usd_per_day) == (2_000_000, 1.5)
    assert gpu.exclude == ("*-base",)
    assert (settings.nats.expected_models, settings.nats.replicas) == (100_000, 3)
    assert settings.benchmarking.run_timeout_s == 90
    assert settings.quality[0].source == "= 2.0"
    assert settings.console.hosts == ("models.example.com",)
    assert settings.nats.url == "nats://vedette-nats:4222"


def test_every_pod_goes_where_all_are_to_go() -> None:
    """Also that of the bundled NATS server, and that of `helm test`."""
    test = next(one for one in rendered(WHOLE) if one["kind"] == "Pod")
    for name, pod in [*pods(rendered(WHOLE)), ("test", test["spec"])]:
        assert pod["nodeSelector"] == {"kubernetes.io/arch": "amd64"}, name
        assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}], name
        assert pod["priorityClassName"] == "high", name
    assert "nats" in of("StatefulSet", WHOLE)
    assert {one["metadata"]["labels"]["team"] for one in rendered(WHOLE)} == {"ml"}


def test_a_server_of_http_goes_on_until_no_proxy_sends_it_requests() -> None:
    """And a reply of the gateway has the time that the configuration gives it, before the pod is killed."""
    closing_s = 300
    long = f"{WHOLE.replace('gateway: {keys', f'gateway: {{closing_s: {closing_s}, keys', 1)}"
    found = {name: one["spec"]["template"]["spec"] for name, one in of("Deployment", long).items()}
    pauses = {name for name, pod in found.items() if "lifecycle" in pod["containers"][0]}
    assert pauses == {"console", "gateway"}
    assert found["gateway"]["terminationGracePeriodSeconds"] > closing_s + 5


def test_a_route_leads_to_the_console() -> None:
    values = "services: {console: {route: {enabled: true, host: models.example.com, parentRefs: [{name: public}]}}}"
    route = of("HTTPRoute", values)["console"]["spec"]
    assert route["hostnames"] == ["models.example.com"]
    (backend,) = route["rules"][0]["backendRefs"]
    service = of("Service", values)["console"]
    assert backend == {"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]}
    assert "models.example.com" in configuration(values).console.hosts


BASE = "config: {endpoints: {gpu: {url: 'http://gpu:8000'}}}\nnats: {auth: {existingSecret: a}}\n"
NAMED = BASE + "services: {console: {existingSecret: b}}\n"


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ("", set()),
        ("config: {endpoints: {more: {url: 'http://more:8000'}}}", {"ConfigMap"}),
        ("config: {schedule: {availability: 5m}}", {"ConfigMap"}),
        ("config: {recommend: {use_cases: {mine: {weights: {quality: 1}}}}}", {"ConfigMap"}),
        ("config: {probing: {concurrency: 4}}", {"ConfigMap", "Deployment"}),
        ("image: {tag: 9.9.9}", {"Deployment", "Pod"}),
    ],
)
def test_a_change_touches_what_it_must(change: str, changed: set[str], tmp_path: Path) -> None:
    """A new endpoint replaces no pod, and a new image nothing but pods."""
    file = tmp_path / "change.yaml"
    file.write_text(change)
    before = {(one["kind"], one["metadata"]["name"]): one for one in rendered(NAMED)}
    after = {
        (one["kind"], one["metadata"]["name"]): one
        for one in rendered("", "--values", _file(tmp_path, NAMED), "--values", str(file))
    }
    assert before.keys() == after.keys()
    assert {kind for (kind, name), one in after.items() if before[kind, name] != one} == changed


def _file(directory: Path, text: str) -> str:
    file = directory / "base.yaml"
    file.write_text(text)
    return str(file)


def test_what_services_take_on_replaces_no_pod() -> None:
    """The checksum of the pods leaves out what the settings say is reloaded."""
    text = (CHART / "templates" / "_helpers.tpl").read_text()
    (omitted,) = re.findall(r"omit \$config ((?:\"\w+\" ?)+)", text)
    assert set(re.findall(r"\w+", omitted)) == set(RELOADED) & set(Settings.sections())


def test_there_is_nothing_that_cannot_be_applied_again() -> None:
    """No Job, no hook but that of `helm test`, no empty text where the API server has a default."""
    for one in rendered(WHOLE):
        assert one["kind"] != "Job"
        annotations = one["metadata"].get("annotations", {})
        assert annotations.get("helm.sh/hook", "test") == "test"
        if one["kind"] not in {"ConfigMap", "NetworkPolicy", "Role"}:
            assert "" not in list(_leaves({key: one[key] for key in one if key != "metadata"})), one[
                "metadata"
            ]
    (claim,) = of("StatefulSet")["nats"]["spec"]["volumeClaimTemplates"]
    assert claim["status"] == {"phase": "Pending"}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def test_a_token_of_kubernetes_is_the_discoverer_s_alone() -> None:
    """And only where it watches the cluster: to read, in the namespaces that are named."""
    for values, watching in (("", set[str]()), (WHOLE, {"discoverer"})):
        pods = {
            name: one["spec"]["template"]["spec"]
            for kind in ("Deployment", "StatefulSet")
            for name, one in of(kind, values).items()
        }
        assert {name for name, pod in pods.items() if pod["automountServiceAccountToken"]} == watching
        roles = [one for one in rendered(values) if one["kind"] == "Role"]
        assert {role["metadata"]["namespace"] for role in roles} == (
            {"models", "more"} if watching else set()
        )
        for role in roles:
            assert _granted(role["rules"]) == _granted(role_rules())
        bindings = [one for one in rendered(values) if one["kind"] == "RoleBinding"]
        subjects = {subject["name"] for one in bindings for subject in one["subjects"]}
        assert subjects == {f"vedette-{name}" for name in watching}
    assert not [one for one in rendered(WHOLE) if one["kind"].startswith("ClusterRole")]


def _granted(rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


# Where a pod might go: in the cluster (a pod), or an address, and a port.
API_SERVER, METADATA = "10.96.0.1", "169.254.169.254"


@pytest.mark.parametrize(
    ("component", "address", "port", "allowed"),
    [
        *((name, "pod", 11434, True) for name in PROBING),
        *((name, "pod", 5432, False) for name in PROBING),
        *((name, "93.184.215.14", 443, True) for name in PROBING),
        *((name, METADATA, 80, False) for name in PROBING),
        *((name, API_SERVER, 443, name == "discoverer") for name in PROBING),
        *((name, "172.18.0.2", 6443, name == "discoverer") for name in PROBING),
        ("discoverer", "192.168.49.2", 8443, True),
        ("discoverer", "192.168.64.2", 16443, True),
        ("prober", "10.1.2.3", 443, True),
        ("prober", "93.184.215.14", 8000, True),
        ("prober", "93.184.215.14", 22, False),
        ("prober", "192.168.1.7", 11434, True),
        ("prober", "192.168.1.7", 22, False),
        ("recorder", "pod", 5432, True),
        *((name, "pod", 11434, False) for name in ("recorder", "recommender", "ticker", "test")),
        *((name, "93.184.215.14", 443, False) for name in ("recorder", "recommender", "ticker", "test")),
        ("recommender", "pod", 5432, False),
        ("recommender", "10.96.0.10", 53, True),
        ("recommender", "10.128.0.5", 5353, True),
    ],
)
def test_a_service_reaches_what_it_is_there_for(
    component: str, address: str, port: int, allowed: bool
) -> None:
    labels = {
        "app.kubernetes.io/name": "vedette",
        "app.kubernetes.io/instance": "vedette",
        "app.kubernetes.io/component": component,
    }
    policies = [one["spec"] for one in rendered(WHOLE) if one["kind"] == "NetworkPolicy"]
    rules = [
        rule
        for policy in policies
        if _selects(policy["podSelector"], labels)
        for rule in policy.get("egress", ())
    ]
    assert any(_allows(rule, address, port) for rule in rules) is allowed


def test_without_discovery_nothing_reaches_the_api_server() -> None:
    policies = [one["spec"] for one in rendered() if one["kind"] == "NetworkPolicy"]
    rules = [rule for policy in policies for rule in policy.get("egress", ())]
    assert not any(_allows(rule, API_SERVER, port) for rule in rules for port in (443, 6443, 8443, 16443))


def test_what_is_added_reaches_pods_of_all_services() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "192.168.3.4/32"}}], "ports": [{"port": 4318, "protocol": "TCP"}]}
    values = yaml.safe_dump({"networkPolicy": {"extraEgress": [rule]}})
    assert rule in of("NetworkPolicy", values)["vedette"]["spec"]["egress"]
    assert rule not in of("NetworkPolicy")["vedette"]["spec"]["egress"]


def test_the_monitoring_port_of_nats_is_open_only_to_who_reads_metrics() -> None:
    for values, ports in (("", ["nats"]), (WHOLE, ["nats", "monitor"])):
        rules = of("NetworkPolicy", values)["nats"]["spec"]["ingress"]
        assert [port["port"] for rule in rules for port in rule["ports"]] == ports
    assert rules[1]["from"] == [{"namespaceSelector": {}}]


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", ()))


def _allows(rule: Mapping[str, Any], address: str, port: int) -> bool:
    ports = rule.get("ports")
    if ports and not any(one["port"] <= port <= one.get("endPort", one["port"]) for one in ports):
        return False
    return "to" not in rule or any(_is(peer, address) for peer in rule["to"])


def _is(peer: Mapping[str, Any], address: str) -> bool:
    if "ipBlock" not in peer:
        return address == "pod" and "podSelector" not in peer
    if address == "pod":
        return False
    within, *apart = (
        ipaddress.ip_address(address) in ipaddress.ip_network(one)
        for one in (peer["ipBlock"]["cidr"], *peer["ipBlock"].get("except", ()))
    )
    return within and not any(apart)


def test_one_part_or_the_other() -> None:
    """An autoscaler and a number of replicas would undo each other; a budget for one pod keeps a node from draining."""
    assert "replicas" not in of("Deployment", WHOLE)["recommender"]["spec"]
    assert set(of("HorizontalPodAutoscaler", WHOLE)) == {"recommender"}
    assert set(of("PodDisruptionBudget")) == {"recommender"}
    assert set(of("PodDisruptionBudget", WHOLE)) == {"recommender", "recorder", "gateway"}


def test_monitoring_is_there_where_its_kinds_are() -> None:
    kinds = {"ServiceMonitor", "PrometheusRule"}
    assert not kinds & {one["kind"] for one in rendered()}
    known = [f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in sorted(kinds)]
    assert kinds <= {one["kind"] for one in rendered("", *known)}
