"""A judge's test, and its comparisons of texts."""

from collections.abc import Mapping

from vedette.bus.bus import Bus
from vedette.endpoints.judging import Session
from vedette.messages.events import Job
from vedette.types import ModelRef, Score
from vedette_benchmarker.judging.asking import MAX_ANSWER_TOKENS, question, read
from vedette_benchmarker.judging.author import Author
from vedette_benchmarker.judging.sessions import comparisons
from vedette_benchmarker.judging.strengths import Preferred, Vote
from vedette_benchmarker.judging.tasks import Series


class Steps:
    """The progress of a job, in steps."""

    def __init__(self, bus: Bus, job: Job, steps: int) -> None:
        self._bus = bus
        self._job = job
        self._step, self._steps = 0, steps

    async def next(self, what: str) -> None:
        """Publish that the step *what* begins."""
        message = f"{self._job.model}: {what}"
        await self._bus.jobs.publish_progress(self._job, "step", message, step=self._step, steps=self._steps)
        self._step += 1


class Comparing:
    """Lets a judge compare texts, two at a time."""

    def __init__(self, judge: Author, steps: Steps) -> None:
        self._judge = judge
        self._steps = steps

    async def test(self, series: Series, job: Job) -> Score:
        """Return in how many pairs the judge finds the better text, in both orders. A missing verdict is wrong."""
        pairs, right = series.test(f"{job.at:%Y-%m-%d}"), 0  # by date, because a deferred job gets another id
        for pair in pairs:
            prompt, criterion = pair.task.prompt, pair.task.criterion
            said = [
                await self._preferred(question(prompt, criterion, pair.good, pair.worse), "test"),
                await self._preferred(question(prompt, criterion, pair.worse, pair.good), "test"),
            ]
            right += said == ["first", "second"]
        return Score(successes=right, trials=len(pairs), suite=series.name)

    async def votes(
        self, session: Session, series: Series, tasks: int, texts: Mapping[ModelRef, Mapping[int, str]]
    ) -> tuple[list[Vote], int]:
        """Return the judge's votes about *texts* (by author and task), and how many of its answers have no verdict."""
        about, found, unread = series.tasks(tasks), list[Vote](), 0
        for one in comparisons(session, tasks, texts):
            task = about[one.task]
            asked = question(
                task.prompt, task.criterion, texts[one.first][one.task], texts[one.second][one.task]
            )
            preferred = await self._preferred(asked, series.use_case)
            if preferred is None:
                unread += 1
            else:
                found.append(Vote(task=one.task, first=one.first, second=one.second, preferred=preferred))
        return found, unread

    async def _preferred(self, asked: str, about: str) -> Preferred | None:
        await self._steps.next(f"{about}, comparison")
        answer = await self._judge.say(asked, MAX_ANSWER_TOKENS)
        return read(answer) if answer else None
