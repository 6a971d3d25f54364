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
from vedette_gateway import metrics as gateway
from vedette_recommender import metrics as recommender
from vedette_recorder import metrics as recorder
from vedette_ticker import metrics as ticker

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
MONITORING = KUBERNETES / "components" / "monitoring"
CONFIGURATIONS = sorted(KUBERNETES.rglob("vedette.toml"))


def _documents(file: Path) -> Iterator[dict[str, Any]]:
    yield from (document for document in yaml.safe_load_all(file.read_text()) if document)


def _of(kind: str) -> dict[str, dict[str, Any]]:
    return {
        document["metadata"]["name"]: document
        for file in sorted((KUBERNETES / "base").glob("*.yaml"))
        for document in _documents(file)
        if document.get("kind") == kind
    }


def _container(workload: dict[str, Any]) -> dict[str, Any]:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(container)


def _settings(file: Path) -> Settings:
    return parse(tomllib.loads(file.read_text()), where=str(file), environ={})


@pytest.mark.parametrize("file", sorted(DEPLOY.rglob("*.yaml")), ids=lambda p: str(p.relative_to(DEPLOY)))
def test_every_file_is_yaml(file: Path) -> None:
    assert list(_documents(file))


def test_there_is_a_deployment_of_every_service() -> None:
    deployments = {name: one for name, one in _of("Deployment").items() if name != "any"}
    assert set(deployments) == set(process.service_names())
    for name, deployment in deployments.items():
        container = _container(deployment)
        assert container["args"] == ["run", name]
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}
        pod = deployment["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == name in _of("ServiceAccount")


def test_jobs_run_commands_that_there_are() -> None:
    jobs = {name: job for name, job in _of("Job").items() if name != "any"}
    for job in jobs.values():
        assert _container(job)["args"][0] in app
    assert set(jobs) == {"provision", "migrate"}


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_pods_have_no_privilege(kind: str) -> None:
    pod = _of(kind)["any"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    own = _container(_of(kind)["any"])["securityContext"]
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    user = re.search(r"^USER (\d+):", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert pod["securityContext"]["runAsUser"] == int(user[1])


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda p: p.parent.name)
def test_configuration_and_pods_agree(file: Path) -> None:
    """On the port, the configuration's place, and where the secrets are."""
    settings = _settings(file)
    container = _container(_of("Deployment")["any"])
    (port,) = container["ports"]
    assert (
        settings.http.port == port["containerPort"] == _of("Service")["vedette"]["spec"]["ports"][0]["port"]
    )
    assert settings.nats.provision is False
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    variables = {variable["name"]: variable for variable in container["env"]}
    assert variables["VEDETTE_CONFIG"]["value"] == f"{places['config']}/vedette.toml"
    component = "metadata.labels['app.kubernetes.io/component']"
    assert variables["NATS_USER"]["valueFrom"]["fieldRef"]["fieldPath"] == component
    assert settings.nats.user == Secret(env="NATS_USER")
    files = (settings.nats.password, settings.database.url)
    assert [secret.file for secret in files if isinstance(secret, Secret)] == [
        f"{places['secrets']}/nats-password",
        f"{places['secrets']}/database-url",
    ]


def test_a_pod_sees_no_secret_but_its_own() -> None:
    """Its password on NATS; the database's URL, which has a password in it, only the recorder and who migrates."""
    database = ("vedette", "database-url", "database-url")
    workloads = {
        name: one for kind in ("Deployment", "Job") for name, one in _of(kind).items() if name != "any"
    }
    for name, workload in workloads.items():
        user = "operator" if name == "provision" else name
        own = ("nats-users", f"{user.upper()}_PASSWORD", "nats-password")
        expected = {"recorder": {own, database}, "migrate": {database}}.get(name, {own})
        assert _secrets(workload) == expected, name
    (provision,) = [v for v in _container(workloads["provision"])["env"] if v["name"] == "NATS_USER"]
    assert provision["value"] == "operator"


def _secrets(workload: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return the secrets that a pod mounts: name, key and file."""
    (volume,) = [one for one in workload["spec"]["template"]["spec"]["volumes"] if one["name"] == "secrets"]
    sources = [one["secret"] for one in volume.get("projected", {}).get("sources", [volume])]
    return {
        (source.get("name") or source["secretName"], item["key"], item["path"])
        for source in sources
        for item in source["items"]
    }


def test_every_user_has_a_password() -> None:
    """Wherever the accounts are: the overlays, the values of NATS's chart, Docker Compose."""
    wanted = set(re.findall(r"\$(\w+_PASSWORD)", accounts.written()))
    assert {name.removesuffix("_PASSWORD").lower() for name in wanted} == {
        *process.service_names(),
        "operator",
        "agent",
    }
    dev = yaml.safe_load((KUBERNETES / "overlays" / "dev" / "kustomization.yaml").read_text())
    (secret,) = [one for one in dev["secretGenerator"] if one["name"] == "nats-users"]
    assert {literal.partition("=")[0] for literal in secret["literals"]} == wanted
    (values,) = _documents(KUBERNETES / "overlays" / "prod" / "nats-values.yaml")
    assert set(values["container"]["env"]) == wanted
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert set(services["nats"]["environment"]) == wanted


def test_probes_ask_what_is_served() -> None:
    container = _container(_of("Deployment")["any"])
    paths = {
        container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {"/livez", "/readyz"}


def test_the_accounts_are_the_code_s() -> None:
    """As of the private server; `vedette contracts --accounts` writes them."""
    assert (DEPLOY / "nats" / "accounts.conf").read_text() == accounts.written()


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


@pytest.mark.parametrize("file", ["rules.yaml", "dashboard.json"])
def test_queries_are_about_metrics_that_there_are(file: str) -> None:
    labels = {"vedette_endpoint", "vedette_service"}
    asked = set(re.findall(r"\bvedette_\w+", (MONITORING / file).read_text())) - labels
    assert len(asked) >= 6
    assert asked <= _metrics()


def test_rules_name_values_that_there_are() -> None:
    text = (MONITORING / "rules.yaml").read_text()
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
