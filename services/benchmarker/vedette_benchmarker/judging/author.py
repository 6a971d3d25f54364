"""Calls of one model in a session: one after the other, within the cost limit of the job."""

import hashlib
from collections import OrderedDict
from typing import Final

from vedette.errors import ProviderError
from vedette.providers import ENDPOINT_WIDE
from vedette_benchmarker.asking import Asker, Spent
from vedette_benchmarker.suites import Item, Verdict

_FAILURES_IN_A_ROW: Final = 3
_REMEMBERED: Final = 4096  # answers of interrupted sessions

# The key: the weights, the purpose, and a digest of the prompt.
Answers = OrderedDict[tuple[str, str], str | None]


class TooCostly(Exception):
    """One more call could exceed the cost limit of the job."""


class Author:
    """Calls a model, one call after the other."""

    def __init__(self, asker: Asker, *, who: str, answers: Answers) -> None:
        self._asker = asker
        self._who = who
        self._answers = answers
        self._failures = 0

    @property
    def spent(self) -> Spent:
        """The usage of this model."""
        return self._asker.spent

    async def say(self, prompt: str, max_tokens: int) -> str | None:
        """Return the model's text; None if it refuses, returns no text, or fails. Earlier texts are cached.

        Raises ProviderError if the endpoint fails, or after the third failure in a row; TooCostly at the limit in USD.
        """
        key = (self._who, hashlib.sha256(prompt.encode()).hexdigest())
        if key in self._answers:
            return self._answers[key]
        try:
            answered = await self._asker.answer(Item(prompt=prompt, check=_unchecked, max_tokens=max_tokens))
        except ProviderError as error:
            self._failures += 1
            if error.outcome in ENDPOINT_WIDE or self._failures == _FAILURES_IN_A_ROW:
                raise
            return None
        if answered is None:
            raise TooCostly(f"stopped: one more call could have cost more than {self.spent.over_usd:.2f} USD")
        self._failures = 0
        self._answers[key] = None if answered.is_refused else answered.text.strip() or None
        while len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return self._answers[key]

    def forget(self) -> None:
        """Clear the cached texts, because the job is done."""
        for key in [key for key in self._answers if key[0] == self._who]:
            del self._answers[key]


def _unchecked(_: object) -> Verdict:
    return Verdict(correct=False, why="a judge compares it")
