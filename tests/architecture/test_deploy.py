"""What stands in `deploy/` cannot drift from the code: names, ports, paths, keys, subjects, metrics; and its policy."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from vedette.bus import accounts
from vedette.cli import app
from vedette.runtime import process, telemetry
from vedette.settings import Secret, Settings, parse
from vedette.types import Status
from vedette_console import metrics as console
from vedette_discoverer.sources.kubernetes.kinds import role_rules
from vedette_gateway import metrics as gateway
from vedette_recommender import metrics as recommender
from vedette_recorder import metrics as recorder
from vedette_ticker import metrics as ticker

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "chart"
OVERLAYS = DEPLOY / "kubernetes" / "overlays"
# Rendered from the chart (scripts/chart).
RENDERED = {file.parent.name: file for file in sorted(OVERLAYS.glob("*/vedette.yaml"))}
TEMPLATES = CHART / "templates"
FILES = CHART / "files"


def _documents(file: Path) -> Iterator[dict[str, Any]]:
    yield from (document for document in yaml.safe_load_all(file.read_text()) if document)


def _of(overlay: str, kind: str) -> dict[str, dict[str, Any]]:
    """Return the objects of *kind* in *overlay*, by their names without that of the release."""
    return {
        document["metadata"]["name"].removeprefix("vedette-"): document
        for document in _documents(RENDERED[overlay])
        if document["kind"] == kind
    }


def _pod(workload: dict[str, Any]) -> dict[str, Any]:
    return dict(workload["spec"]["template"]["spec"])


def _container(workload: dict[str, Any]) -> dict[str, Any]:
    (container,) = _pod(workload)["containers"]
    return dict(container)


def _settings(file: Path) -> Settings:
    return parse(tomllib.loads(file.read_text()), where=str(file), environ={})


def _configuration(overlay: str) -> Settings:
    text = _of(overlay, "ConfigMap")["vedette"]["data"]["vedette.toml"]
    return parse(tomllib.loads(text), where=overlay, environ={})


@pytest.mark.parametrize(
    "file",
    [file for file in sorted(DEPLOY.rglob("*.yaml")) if TEMPLATES not in file.parents],
    ids=lambda p: str(p.relative_to(DEPLOY)),
)
def test_every_file_is_yaml(file: Path) -> None:
    assert list(_documents(file))


@pytest.mark.parametrize("overlay", RENDERED)
def test_there_is_a_deployment_of_every_service(overlay: str) -> None:
    """But of the gateway, which needs a key of a caller: without one it is off."""
    deployments = _of(overlay, "Deployment")
    assert set(deployments) == set(process.service_names()) - {"gateway"}
    for name, deployment in deployments.items():
        container = _container(deployment)
        assert container["args"] == ["run", name]
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}
        assert _pod(deployment)["serviceAccountName"] == f"vedette-{name}"
        assert name in _of(overlay, "ServiceAccount")


@pytest.mark.parametrize("overlay", RENDERED)
def test_streams_are_made_before_a_recorder_runs(overlay: str) -> None:
    """By a command that there is, in its own pod: a Job could not be changed by the next version."""
    first = _pod(_of(overlay, "Deployment")["recorder"])["initContainers"]
    assert [one["args"] for one in first] == [["provision", "--wait"]]
    assert first[0]["args"][0] in app
    assert not _of(overlay, "Job")
    others = [one for name, one in _of(overlay, "Deployment").items() if name != "recorder"]
    assert not any("initContainers" in _pod(one) for one in others)


@pytest.mark.parametrize("overlay", RENDERED)
def test_pods_run_as_the_user_of_the_image(overlay: str) -> None:
    user = re.search(r"^USER (\d+):", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    for deployment in _of(overlay, "Deployment").values():
        assert _pod(deployment)["securityContext"]["runAsUser"] == int(user[1])


@pytest.mark.parametrize("overlay", RENDERED)
def test_configuration_and_pods_agree(overlay: str) -> None:
    """On ports, the configuration's place, and where the secrets are."""
    settings = _configuration(overlay)
    assert settings.nats.provision is False
    assert settings.nats.user == Secret(env="NATS_USER")
    for name, deployment in _of(overlay, "Deployment").items():
        container = _container(deployment)
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert settings.http.port == ports.pop("http")
        assert ports == ({"console": settings.console.port} if name == "console" else {})
        places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        assert variables["VEDETTE_CONFIG"] == f"{places['config']}/vedette.toml"
        assert variables["NATS_USER"] == name
        assert settings.nats.password == Secret(file=f"{places['secrets']}/nats-password")
        assert settings.nats.ca_file in (None, f"{places.get('nats-ca')}/ca.crt")
    files = {_path(volume) for volume in _mounted(_of(overlay, "Deployment")["console"])}
    for token in (settings.console.token, settings.console.operator_token):
        assert isinstance(token, Secret)
        assert Path(token.file or "").name in files


def _path(mounted: tuple[str, str, str]) -> str:
    return mounted[2]


def test_the_recorder_has_a_database() -> None:
    """PostgreSQL by the URL of a Secret, or a file on a volume, which the image's state directory is."""
    database = _configuration("prod").database.url
    assert database == Secret(file="/run/secrets/vedette/database-url")
    recorder = _of("dev", "Deployment")["recorder"]
    places = {mount["name"]: mount["mountPath"] for mount in _container(recorder)["volumeMounts"]}
    state = re.search(r"VEDETTE_STATE_DIR=(\S+)", (DEPLOY / "Dockerfile").read_text())
    assert state is not None
    assert places["state"] == state[1]
    assert _configuration("dev").database.url == f"sqlite+aiosqlite:///{state[1]}/vedette.db"
    assert recorder["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("overlay", RENDERED)
def test_a_pod_sees_no_secret_but_its_own(overlay: str) -> None:
    """Its password on NATS; the database's URL, which has a password in it, only the recorder."""
    providers = {"discoverer", "prober", "benchmarker", "console", "gateway"}
    for name, workload in _of(overlay, "Deployment").items():
        expected = {("nats-users", f"{name.upper()}_PASSWORD", "nats-password")}
        if name == "recorder":
            expected.add(("nats-users", "OPERATOR_PASSWORD", "nats-password"))
            expected |= {("vedette", "database-url", "database-url")} if overlay == "prod" else set()
        if name == "console":
            expected |= {("vedette-console", key, f"console-{key}") for key in ("token", "operator-token")}
        if name in providers and overlay == "prod":
            expected.add(("vedette-providers", "*", "*"))
        assert set(_mounted(workload)) == expected, name
        assert not any("secretKeyRef" in str(one) or "envFrom" in one for one in _all_containers(workload))


@pytest.mark.parametrize("overlay", RENDERED)
def test_the_operator_s_login_is_seen_by_what_provisions_alone(overlay: str) -> None:
    for one in _all_containers(_of(overlay, "Deployment")["recorder"]):
        places = {mount["name"]: mount["mountPath"] for mount in one["volumeMounts"]}
        user = next(variable["value"] for variable in one["env"] if variable["name"] == "NATS_USER")
        provisions = one["args"] == ["provision", "--wait"]
        assert (user == "operator") is provisions
        assert places["operator" if provisions else "secrets"] == "/run/secrets/vedette"
        assert ("operator" in places, "secrets" in places) == (provisions, not provisions)


def _all_containers(workload: dict[str, Any]) -> list[dict[str, Any]]:
    return [*_pod(workload).get("initContainers", ()), *_pod(workload)["containers"]]


def _mounted(workload: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the secrets that a pod mounts: name, key and file; "*" for all keys."""
    for volume in _pod(workload)["volumes"]:
        sources = volume.get("projected", {}).get("sources", [volume])
        for source in (one["secret"] for one in sources if "secret" in one):
            name = source.get("name") or source["secretName"]
            for item in source.get("items", [{"key": "*", "path": "*"}]):
                yield name, item["key"], item["path"]


def test_every_user_has_a_password() -> None:
    """Wherever the accounts are: the overlays, the values of NATS's chart, Docker Compose."""
    wanted = set(re.findall(r"\$(\w+_PASSWORD)", accounts.written()))
    assert {name.removesuffix("_PASSWORD").lower() for name in wanted} == {
        *process.service_names(),
        "operator",
        "agent",
    }
    dev = yaml.safe_load((OVERLAYS / "dev" / "kustomization.yaml").read_text())
    (secret,) = [one for one in dev["secretGenerator"] if one["name"] == "nats-users"]
    assert {literal.partition("=")[0] for literal in secret["literals"]} == wanted
    (values,) = _documents(CHART / "examples" / "nats-values.yaml")
    assert set(values["container"]["env"]) == wanted
    made = re.search(r"range list (.*) }}", (TEMPLATES / "secrets.yaml").read_text())
    assert made is not None
    assert {f"{name}_PASSWORD" for name in re.findall(r'"(\w+)"', made[1])} == wanted
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert set(services["nats"]["environment"]) == wanted


@pytest.mark.parametrize("overlay", RENDERED)
def test_probes_ask_what_is_served(overlay: str) -> None:
    for deployment in _of(overlay, "Deployment").values():
        container = _container(deployment)
        probes = ("startupProbe", "livenessProbe", "readinessProbe")
        assert {container[probe]["httpGet"]["path"] for probe in probes} == {"/livez", "/readyz"}


def test_the_accounts_are_the_code_s() -> None:
    """As of the private server; `vedette contracts --accounts` writes them."""
    assert (DEPLOY / "nats" / "accounts.conf").read_text() == accounts.written()
    assert (CHART / "files" / "accounts.conf").read_text() == accounts.written()


def _allowed(rules: list[dict[str, Any]]) -> set[tuple[str, str, tuple[str, ...]]]:
    return {
        (group, resource, tuple(rule["verbs"]))
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_the_discoverer_may_read_the_kinds_that_it_reads_and_nothing_else() -> None:
    """In the chart's Role, and as the page on discovery shows it."""
    wanted = _allowed(role_rules())
    template = (TEMPLATES / "rbac.yaml").read_text()
    (role,) = re.findall(r"^rules:\n(?:  .*\n)+", template, re.MULTILINE)
    page = (DEPLOY.parent / "docs" / "discovery.md").read_text()
    (shown,) = re.findall(r"^rules:\n(?:  .*\n)+", page, re.MULTILINE)
    # Groups that have no object of a kind do no harm: a rule names all groups of its kinds.
    assert _allowed(yaml.safe_load(role)["rules"]) == wanted
    assert _allowed(yaml.safe_load(shown)["rules"]) == wanted


def test_compose_runs_every_service() -> None:
    """On the same image, as narrowly, by a configuration whose secrets it hands over; all that it mounts is there."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    settings = _settings(DEPLOY / "compose" / "vedette.toml")
    assert (settings.nats.user, settings.nats.password) == (
        Secret(env="NATS_USER"),
        Secret(env="NATS_PASSWORD"),
    )
    assert settings.database.url == Secret(env="DATABASE_URL")
    ours = {name: one for name, one in services.items() if one["image"].startswith("vedette:")}
    assert set(ours) == {*process.service_names(), "provision", "migrate"}
    for name, service in ours.items():
        command = service["command"]
        assert command == (["run", name] if name in process.service_names() else [name])
        assert command[0] in app
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        variables = service["environment"]
        assert ("DATABASE_URL" in variables) == (name in {"recorder", "migrate"})
        user = {"provision": "operator", "migrate": None}.get(name, name)
        assert variables.get("NATS_USER") == user
        assert (
            user is None
            or variables["NATS_PASSWORD"] == services["nats"]["environment"][f"{user.upper()}_PASSWORD"]
        )
        if name in process.service_names():
            assert f":{settings.http.port}/readyz" in service["healthcheck"]["test"][-1]
    assert settings.nats.provision is False
    mounted = [
        mount for one in services.values() for mount in one.get("volumes", ()) if mount.startswith(".")
    ]
    for mount in mounted:
        assert (DEPLOY / mount.partition(":")[0]).is_file(), mount


def _metrics() -> set[str]:
    assert telemetry.JOBS
    assert recommender.MODELS
    assert recorder.RECORDED
    assert console.WEBHOOK_PENDING
    assert gateway.REQUESTS
    assert ticker.TICK_DUE
    return {
        name
        for family in REGISTRY.collect()
        for name in (
            family.name,
            *(f"{family.name}_{suffix}" for suffix in ("total", "bucket", "sum", "count")),
        )
    }


@pytest.mark.parametrize(
    "file", [FILES / "rules.yaml", *sorted((FILES / "dashboards").glob("*.json"))], ids=lambda p: p.name
)
def test_queries_are_about_metrics_that_there_are(file: Path) -> None:
    labels = {"vedette_endpoint", "vedette_service"}
    asked = set(re.findall(r"\bvedette_\w+", file.read_text())) - labels
    assert len(asked) >= 6
    assert asked <= _metrics()


def test_rules_name_values_that_there_are() -> None:
    text = (FILES / "rules.yaml").read_text()
    assert set(re.findall(r'status="(\w+)"', text)) <= set(Status)
    assert set(re.findall(r'vedette_service="(\w+)"', text)) <= set(process.service_names())
    assert set(re.findall(r'event="(\w+)"', text)) <= {"schedule"}
    assert set(re.findall(r'outcome=~?"([\w|]+)"', text)) <= {"failed", "done|failed"}


CHECK = DEPLOY / "compose" / "check-passwords.sh"
CHOSEN = {"AGENT_PASSWORD": "a-real-one", "OPERATOR_PASSWORD": "another"}


@pytest.mark.fault("Compose is opened to a network with its sample passwords", "I7")
@pytest.mark.parametrize(
    ("bind", "passwords", "refuses", "says"),
    [
        ("0.0.0.0", {**CHOSEN, "TICKER_PASSWORD": "change-ticker"}, True, "REFUSED: .* TICKER_PASSWORD"),
        ("192.168.1.7", {"DATABASE_PASSWORD": "change-database"}, True, "REFUSED"),
        ("::", {"AGENT_PASSWORD": "change-agent"}, True, "REFUSED"),
        ("", {"AGENT_PASSWORD": "change-agent"}, True, "REFUSED"),
        (
            "127.0.0.1",
            {"AGENT_PASSWORD": "change-agent"},
            False,
            "WARNING: sample passwords .* AGENT_PASSWORD",
        ),
        ("0.0.0.0", CHOSEN, False, "^$"),
    ],
)
def test_sample_passwords_stay_on_one_machine(
    bind: str, passwords: dict[str, str], refuses: bool, says: str
) -> None:
    """The script of the service that everything else waits for."""
    ended = subprocess.run(
        ["sh", str(CHECK)],
        env={"PATH": "/usr/bin:/bin", "VEDETTE_BIND": bind, **passwords},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(ended.returncode) is refuses
    assert re.search(says, ended.stderr), ended.stderr


def test_compose_checks_every_password_before_anything_starts() -> None:
    """What is published is published where the check looks, and nothing starts before it."""
    text = (DEPLOY / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    named = set(re.findall(r"\$\{(\w+):-change-", text))
    assert set(services["passwords"]["environment"]) == named | {"VEDETTE_BIND"}
    for name, service in services.items():
        waits = service.get("depends_on", {})
        assert name == "passwords" or waits.get("passwords") or {"nats", "postgres", "provision"} & set(waits)
        for port in service.get("ports", ()):
            assert port.startswith("${VEDETTE_BIND:-127.0.0.1}:")
