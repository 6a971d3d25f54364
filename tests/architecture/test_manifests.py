"""What comes of the manifests: every overlay renders, fits Kubernetes' schemas, and keeps to the policy for pods."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from require import missing

OVERLAYS = Path(__file__).parents[2] / "deploy" / "kubernetes" / "overlays"
NAMES = sorted(overlay.name for overlay in OVERLAYS.iterdir())
# Kinds of the Prometheus operator, which kubernetes-validate does not know.
OTHERS: dict[str, Any] = json.loads(Path(__file__).with_name("prometheus-operator.json").read_text())
KUBERNETES = "1.32"


@cache
def rendered(overlay: str) -> list[dict[str, Any]]:
    """Return the objects of *overlay* as they would be applied."""
    tool = shutil.which("kustomize") or shutil.which("kubectl")
    if tool is None:
        missing("kubectl", "kubectl is missing; it renders the overlays")
    verb = "build" if tool.endswith("kustomize") else "kustomize"
    command = [tool, verb, str(OVERLAYS / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def pods(objects: Iterable[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the pod of each workload of *objects*, by kind and name."""
    for one in objects:
        if template := one.get("spec", {}).get("template"):
            yield f"{one['kind']} {one['metadata']['name']}", template["spec"]


def must_fit(one: dict[str, Any]) -> None:
    """Raise unless the object *one* fits the schema of its kind."""
    if find_spec("kubernetes_validate") is None:
        missing("kubernetes-validate", "uv sync --group lint")
    import kubernetes_validate

    if one["kind"] in OTHERS:
        jsonschema.validate(one, OTHERS[one["kind"]])
    else:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


@pytest.mark.parametrize("overlay", NAMES)
def test_every_object_fits_its_schema(overlay: str) -> None:
    for one in rendered(overlay):
        must_fit(one)


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    """Every expression parses, every duration is one."""
    if shutil.which("promtool") is None:
        missing("promtool", "promtool is missing; Debian's package prometheus has it")
    (rules,) = [one for one in rendered("prod-monitored") if one["kind"] == "PrometheusRule"]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rules["spec"]))
    command = ["promtool", "check", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr + done.stdout
    assert len(rules["spec"]["groups"][0]["rules"]) >= 5


def must_be_restricted(name: str, pod: dict[str, Any], *, token: bool = False) -> None:
    """Raise unless *pod* is as the restricted policy wants it: no root, nothing added, no token; limits and probes."""
    assert pod["automountServiceAccountToken"] is token, name
    assert pod["securityContext"]["runAsNonRoot"] is True, name
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
    assert not any("hostPath" in volume for volume in pod["volumes"]), name
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False, name
        assert own["readOnlyRootFilesystem"] is True, name
        assert own["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["limits"].keys() >= {"cpu", "memory"}, name
        if container in pod["containers"]:
            assert {"livenessProbe", "readinessProbe"} <= container.keys(), name


@pytest.mark.parametrize("overlay", NAMES)
def test_no_pod_has_privilege_or_goes_unbounded(overlay: str) -> None:
    seen = dict(pods(rendered(overlay)))
    assert len(seen) >= 7
    for name, pod in seen.items():
        must_be_restricted(name, pod)


def test_the_example_of_external_secrets_has_all_that_prod_mounts() -> None:
    """The Secrets, and of each the keys that are named one by one."""
    file = OVERLAYS.parents[1] / "chart" / "examples" / "external-secrets.yaml"
    given = {
        one["spec"]["target"]["name"]: {entry["secretKey"] for entry in one["spec"].get("data", ())}
        for one in yaml.safe_load_all(file.read_text())
    }
    sources = [
        source["secret"]
        for _, pod in pods(rendered("prod"))
        for volume in pod["volumes"]
        for source in volume.get("projected", {}).get("sources", [volume])
        if "secret" in source
    ]
    wanted = {one.get("name") or one["secretName"]: one.get("items", ()) for one in sources}
    assert given.keys() == wanted.keys()
    for name, items in wanted.items():
        assert not given[name] or {item["key"] for item in items} <= given[name]


@pytest.mark.parametrize("overlay", NAMES)
def test_what_is_mounted_is_there_or_told_of(overlay: str) -> None:
    """A ConfigMap or Secret that no overlay makes is one that the operator is told to make."""
    made = {(one["kind"], one["metadata"]["name"]) for one in rendered(overlay)}
    page = (OVERLAYS.parents[2] / "docs" / "kubernetes.md").read_text()
    for _, pod in pods(rendered(overlay)):
        for volume in pod["volumes"]:
            sources = volume.get("projected", {}).get("sources", [volume])
            wanted = [
                (kind, source[key].get("name") or source[key]["secretName"])
                for source in sources
                for key, kind in (("configMap", "ConfigMap"), ("secret", "Secret"))
                if key in source
            ]
            for kind, name in wanted:
                assert (kind, name) in made or f"`{name}`" in page, (kind, name)
