"""The durable consumers: their service, and the messages that each receives. Pure."""

from typing import Literal

from msgspec import Struct

from vedette.messages import subjects

JobKind = Literal["discover", "probe", "verify", "benchmark", "evaluate", "judge"]


class Durable(Struct, frozen=True, kw_only=True):
    """A durable consumer: its stream and subjects, its service, and the maximum number of messages in progress."""

    stream: str
    name: str
    filters: tuple[str, ...]
    max_ack_pending: int = 1000

    @property
    def service(self) -> str:
        """The service whose replicas share the messages."""
        return self.name.partition("-")[0]


def ticks(service: str, job: str) -> Durable:
    """Return the durable by which the replicas of *service* share the ticks of *job*."""
    return Durable(stream="SCHEDULE", name=f"{service}-{job}", filters=(f"schedule.{job}",))


def lifecycle(service: str, event: Literal["found", "changed"]) -> Durable:
    """Return the durable by which the replicas of *service* share the models found or changed."""
    return Durable(stream="MODELS", name=f"{service}-{event}", filters=(f"model.{event}.>",))


def jobs(service: str, kind: JobKind) -> Durable:
    """Return the durable by which the replicas of *service* share the jobs of *kind*."""
    return Durable(stream="JOBS", name=f"{service}-{kind}", filters=(f"job.{kind}.>",))


def host_jobs(group: str) -> Durable:
    """Return the durable of a host group's measurements: one in progress at a time across all replicas."""
    token = subjects.escape(group)
    return Durable(
        stream="JOBS",
        name=f"benchmarker-{token.replace('=', '_')}",
        filters=tuple(f"job.{kind}.{token}.>" for kind in ("benchmark", "verify", "evaluate", "judge")),
        max_ack_pending=1,
    )


def choosing(stream: str, *subjects: str) -> Durable:
    """Return the durable by which the consoles share the events of *stream* that webhooks may receive."""
    return Durable(stream=stream, name="console-webhooks", filters=subjects)


def deliveries(webhook: str) -> Durable:
    """Return the durable with the deliveries to *webhook*, which the consoles share."""
    return Durable(stream="DELIVERIES", name=f"console-{webhook}", filters=(f"delivery.{webhook}",))


def of_job(service: str, kind: JobKind, group: str) -> Durable:
    """Return the durable that delivers jobs of *kind* for the host *group* to the workers of *service*."""
    return jobs(service, kind) if kind in ("discover", "probe") else host_jobs(group)


def recording(stream: str) -> Durable:
    """Return the recorder's durable for a complete *stream*."""
    return Durable(stream=stream, name="recorder", filters=(), max_ack_pending=10_000)
