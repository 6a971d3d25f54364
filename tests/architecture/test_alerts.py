"""Every alert fires when it must, resolves after, and is silent on a fresh install: by `promtool test rules`.

The series have the labels that the Prometheus operator adds to what it scrapes.
"""

import ast
import inspect
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from require import missing
from vedette.runtime import telemetry
from vedette_console import metrics as console
from vedette_gateway import metrics as gateway
from vedette_prober import metrics as prober
from vedette_recommender import metrics as recommender
from vedette_recommender import model_series
from vedette_recorder import metrics as recorder
from vedette_ticker import metrics as ticker

TOP = Path(__file__).parents[2]
RULES = TOP / "deploy" / "chart" / "files" / "rules.yaml"
PAGE = (TOP / "docs" / "metrics.md").read_text()
MODULES = (telemetry, console, gateway, prober, recommender, recorder, ticker, model_series)
KINDS = {"Counter", "Gauge", "Histogram", "GaugeMetricFamily"}
# What the Prometheus operator adds to each sample: https://prometheus-operator.dev/docs/api-reference/api/ (2026-11).
ADDED = {"job", "instance", "namespace", "service", "pod", "container", "endpoint", "node", "prometheus"}


def series(name: str, values: str, *, of: str, **labels: str) -> dict[str, str]:
    """Return a series of the service *of*, as Prometheus stores it on Kubernetes; a value each minute."""
    added = {
        "job": "vedette",
        "instance": f"10.244.0.{len(of)}:8080",
        "namespace": "vedette",
        "service": "vedette",
        "pod": f"{of}-0",
        "container": "vedette",
        "endpoint": "http",
        "app_kubernetes_io_component": of,
    }
    written = ",".join(f'{key.rstrip("_")}="{value}"' for key, value in {**added, **labels}.items())
    return {"series": f"{name}{{{written}}}", "values": values}


class Case(NamedTuple):
    """Series, by minutes: when the alert is firing, with which labels, and when it no longer is."""

    series: list[dict[str, str]]
    fires_at_min: int
    labels: dict[str, str]
    quiet_at_min: tuple[int, ...]


DAY = 24 * 60
CASES = {
    # Due in 30 minutes, from then on overdue, ticked in minute 60.
    "VedetteNoTick": Case(
        [
            series(
                "vedette_tick_due_timestamp_seconds", "1800x60 5400x30", of="ticker", schedule="availability"
            ),
            series("vedette_tick_due_timestamp_seconds", "86400x90", of="ticker", schedule="discovery"),
            series("vedette_configuration_in_force", "1x90", of="ticker"),
        ],
        50,
        {"schedule": "availability", "severity": "critical"},
        (5, 34, 44, 65),
    ),
    "VedetteClockWrong": Case(
        [
            series(
                "vedette_clock_offset_seconds",
                "0x9 -30x20 0x30",
                of="prober",
                vedette_service="prober",
                of_="nats",
            )
        ],
        15,
        {"vedette_service": "prober", "of": "nats", "severity": "critical"},
        (5, 10, 35),
    ),
    "VedetteRecorderNearLoss": Case(
        [
            series("vedette_lag_room_used", "0x9 0.7x30 0.1x30", of="recorder", stream="MODELS"),
            series("vedette_lag_room_used", "0x70", of="recorder", stream="REPORTS"),
        ],
        25,
        {"stream": "MODELS", "severity": "critical"},
        (5, 15, 45),
    ),
    "VedetteDatabaseWaiting": Case(
        [series("vedette_database_waiting", "0x9 1x30 0x30", of="recorder", stream="MODELS")],
        25,
        {"severity": "warning"},
        (5, 15, 45),
    ),
    "VedetteRecorderAway": Case(
        [
            series("vedette_lag_messages", "0x9 stale _x30 0x30", of="recorder", stream="MODELS"),
            series("vedette_configuration_in_force", "1x70", of="ticker"),
        ],
        35,
        {"severity": "critical"},
        (5, 15, 50),
    ),
    "VedetteEventsLost": Case(
        [series("vedette_last_loss_timestamp_seconds", f"_x9 600x{2 * DAY}", of="recorder", stream="MODELS")],
        11,
        {"stream": "MODELS", "severity": "warning"},
        (5, DAY + 15),
    ),
    "VedetteStreamNearlyFull": Case(
        [series("vedette_stream_used", "0.2x9 0.9x30 0.5x30", of="recorder", stream="MODELS")],
        25,
        {"stream": "MODELS", "severity": "warning"},
        (5, 15, 45),
    ),
    "VedetteWritesRefused": Case(
        [
            series(
                "vedette_writes_refused_seconds", "0x9 60+60x10 0x30", of="prober", vedette_service="prober"
            )
        ],
        15,
        {"vedette_service": "prober", "severity": "critical"},
        (5, 10, 30),
    ),
    "VedetteConfigurationRefused": Case(
        [
            series("vedette_configuration_in_force", "1x9 0x20 1x30", of="prober"),
            series("vedette_configuration_in_force", "1x60", of="ticker"),
        ],
        20,
        {"severity": "warning"},
        (5, 12, 35),
    ),
    # Before it is warm; with an empty stream; with events.
    "VedetteRecommenderCold": Case(
        [
            series("vedette_catalogue_sequence", "-1x20 0x30 5+1x30", of="recommender"),
            series("vedette_configuration_in_force", "1x80", of="recommender"),
        ],
        15,
        {"severity": "critical"},
        (5, 30, 60),
    ),
    "VedetteEndpointDown": Case(
        [
            series("vedette_endpoint_ok", "1x9 0x90 1x30", of="recommender", vedette_endpoint="gpu"),
            series("vedette_endpoint_ok", "1x130", of="recommender", vedette_endpoint="laptop"),
        ],
        80,
        {"vedette_endpoint": "gpu", "severity": "warning"},
        (5, 50, 110),
    ),
    "VedetteWebhookFailing": Case(
        [series("vedette_webhook_failing", "0x9 1x90 0x30", of="console", webhook="ops")],
        80,
        {"webhook": "ops", "severity": "warning"},
        (5, 50, 110),
    ),
    "VedetteModelsUnreachable": Case(
        [
            series("vedette_models", "1x9 8x60 1x30", of="recommender", status="unreachable"),
            series("vedette_models", "9x9 2x60 9x30", of="recommender", status="available"),
        ],
        50,
        {"severity": "warning"},
        (5, 30, 80),
    ),
    "VedetteJobsFail": Case(
        [
            series(
                "vedette_jobs_total",
                "0x9 1+1x60 61x900",
                of="prober",
                vedette_service="prober",
                kind="probe",
                outcome="failed",
            ),
            series(
                "vedette_jobs_total",
                "0+1x9 10x500 10+1x900",
                of="prober",
                vedette_service="prober",
                kind="probe",
                outcome="done",
            ),
            series(
                "vedette_jobs_total",
                "0+9x900",
                of="prober",
                vedette_service="prober",
                kind="probe",
                outcome="deferred",
            ),
        ],
        70,
        {"vedette_service": "prober", "kind": "probe", "severity": "warning"},
        (5, 30, 700),
    ),
    "VedetteRetentionFails": Case(
        [
            series(
                "vedette_events_total",
                f"0x9 1x{2 * DAY}",
                of="recorder",
                vedette_service="recorder",
                event="schedule",
                outcome="failed",
            )
        ],
        20,
        {"severity": "warning"},
        (5, DAY + 30),
    ),
}
# An hour of an installation that has just begun: no model yet, nothing was ever recorded, failed or retried.
FRESH = [
    series("vedette_tick_due_timestamp_seconds", "86400x60", of="ticker", schedule="discovery"),
    series("vedette_tick_due_timestamp_seconds", "1800x30 3600x30", of="ticker", schedule="availability"),
    series("vedette_clock_offset_seconds", "0x60", of="ticker", vedette_service="ticker", of_="nats"),
    series("vedette_lag_messages", "0x60", of="recorder", stream="MODELS"),
    series("vedette_lag_room_used", "0x60", of="recorder", stream="MODELS"),
    series("vedette_stream_used", "0x60", of="recorder", stream="MODELS"),
    series("vedette_catalogue_sequence", "0x60", of="recommender"),
    series("vedette_models", "0x60", of="recommender", status="unreachable"),
    series("vedette_models", "0x60", of="recommender", status="available"),
    series("vedette_configuration_in_force", "1x60", of="ticker"),
    series("vedette_writes_refused_seconds", "0x60", of="ticker", vedette_service="ticker"),
    series(
        "vedette_events_total",
        "0x60",
        of="recorder",
        vedette_service="recorder",
        event="schedule",
        outcome="failed",
    ),
]


ALERTS: dict[str, Any] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}


def promtool(directory: Path, tests: list[dict[str, Any]], *alerts: str) -> None:
    """Run *tests* on the rules of *alerts*, of all without any. Fails with promtool's words.

    It evaluates every rule in every minute; of one that is not asked for only the time shows.
    """
    if shutil.which("promtool") is None:
        missing("promtool", "Debian's package prometheus has it")
    group = {"name": "vedette", "rules": [ALERTS[alert] for alert in alerts or ALERTS]}
    (directory / "rules.yaml").write_text(yaml.safe_dump({"groups": [group]}))
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (directory / "tests.yaml").write_text(yaml.safe_dump(document))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yaml"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def expected(alert: str, at_min: int, labels: dict[str, str] | None, **shown: str) -> dict[str, Any]:
    """Return what promtool is to expect of *alert* in minute *at_min*: one that fires with *labels*, or none.

    Its annotations have *shown* where it lacks a label.
    """
    firing = (
        {}
        if labels is None
        else {"exp_alerts": [{"exp_labels": labels, "exp_annotations": annotations(alert, labels | shown)}]}
    )
    return {"alertname": alert, "eval_time": f"{at_min}m", **firing}


def annotations(alert: str, labels: dict[str, str]) -> dict[str, str]:
    """Return the annotations of *alert* with the values of *labels* in them."""
    written = dict(ALERTS[alert]["annotations"])
    for name, value in labels.items():
        written = {
            key: text.replace(f"{{{{ $labels.{name} }}}}", value).replace(
                f'{{{{ or $labels.{name} "of everything" }}}}', value
            )
            for key, text in written.items()
        }
    return written


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_and_resolves(alert: str, tmp_path: Path) -> None:
    case = CASES[alert]
    when = [
        expected(alert, case.fires_at_min, {"namespace": "vedette", **case.labels}),
        *(expected(alert, at, None) for at in case.quiet_at_min),
    ]
    promtool(tmp_path, [{"interval": "1m", "input_series": case.series, "alert_rule_test": when}], alert)


def test_no_alert_fires_on_a_fresh_install(tmp_path: Path) -> None:
    when = [expected(alert, at, None) for alert in ALERTS for at in (1, 20, 59)]
    promtool(tmp_path, [{"interval": "1m", "input_series": FRESH, "alert_rule_test": when}])


def test_an_installation_does_not_hide_what_another_one_misses(tmp_path: Path) -> None:
    """One Prometheus: all is well in `vedette`; in `staging` only a prober runs, and an endpoint is down."""
    well = [
        series("vedette_tick_due_timestamp_seconds", "86400x90", of="ticker", schedule="discovery"),
        series("vedette_lag_messages", "0x90", of="recorder", stream="MODELS"),
        series("vedette_catalogue_sequence", "7x90", of="recommender"),
        series("vedette_endpoint_ok", "1x90", of="recommender", vedette_endpoint="gpu"),
        series("vedette_configuration_in_force", "1x90", of="recommender"),
    ]
    lacking = [
        series("vedette_configuration_in_force", "1x90", of="prober", namespace="staging"),
        series("vedette_endpoint_ok", "0x90", of="prober", namespace="staging", vedette_endpoint="gpu"),
    ]
    missed = {"namespace": "staging", "severity": "critical"}
    down = {"namespace": "staging", "severity": "warning", "vedette_endpoint": "gpu"}
    when = [
        expected("VedetteNoTick", 80, missed, schedule="of everything"),
        expected("VedetteRecorderAway", 80, missed),
        expected("VedetteRecommenderCold", 80, missed),
        expected("VedetteEndpointDown", 80, down),
    ]
    alerts = [one["alertname"] for one in when]
    tests = [{"interval": "1m", "input_series": well + lacking, "alert_rule_test": when}]
    promtool(tmp_path, tests, *alerts)


def test_services_that_never_ran_are_missed(tmp_path: Path) -> None:
    """Without any series, as when no ticker, recorder or recommender ever started."""
    when = [
        expected(alert, 30, {"severity": "critical"}, schedule="of everything")
        for alert in ("VedetteNoTick", "VedetteRecorderAway", "VedetteRecommenderCold")
    ]
    promtool(tmp_path, [{"interval": "1m", "input_series": [], "alert_rule_test": when}])


def test_no_label_has_a_name_that_the_scraper_adds() -> None:
    """Prometheus replaces such a label, unless it is told not to, and a rule by it can never fire."""
    labels = [
        ast.literal_eval(argument)
        for module in MODULES
        for call in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in KINDS
        for argument in call.args
        if isinstance(argument, ast.List)
    ]
    assert len(labels) >= 15
    for names in labels:
        assert not ADDED & set(names), names


def test_the_page_has_every_alert_and_every_metric() -> None:
    metrics = {
        ast.literal_eval(call.args[0])
        for module in MODULES
        for call in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in KINDS
    }
    assert len(metrics) >= 25
    written = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert written == metrics | set(ALERTS)
