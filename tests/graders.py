"""Grading in the test's own process, of suites that only the test knows."""

from vedette.errors import NotGraded
from vedette_benchmarker.grader import Given
from vedette_benchmarker.grader_process import Suites
from vedette_benchmarker.suites import Suite, Verdict


class Here:
    """Grades the answers to *suites* as the grading process does."""

    def __init__(self, *suites: Suite) -> None:
        self._suites = Suites(suites)

    async def verdict(self, given: Given) -> Verdict:
        """Return whether the answer is right. Raises NotGraded."""
        reply = self._suites.reply(given)
        if reply.verdict is None:
            raise NotGraded(problem=reply.problem)
        return reply.verdict
