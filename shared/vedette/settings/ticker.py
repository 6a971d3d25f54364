"""`[schedule]`: how often the ticker starts each job."""

from collections.abc import Iterator

from vedette.settings.durations import wrong_with_interval
from vedette.settings.section import Problem, Section


class Schedule(Section, frozen=True, kw_only=True):
    """How often each job runs: a duration, or five cron fields (UTC)."""

    discovery: str | float = "24h"
    availability: str | float = "30m"
    performance: str | float = "6h"
    quality: str | float = "7d"
    retention: str | float = "24h"
    run_on_startup: bool = True

    def check(self) -> Iterator[Problem]:
        """Yield invalid intervals."""
        for job in ("discovery", "availability", "performance", "quality", "retention"):
            if problem := wrong_with_interval(getattr(self, job)):
                yield job, problem
