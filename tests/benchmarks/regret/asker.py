"""Ask the recommender of the checkout that runs this: `python asker.py` reads fleets and prints which model was chosen.

A line in is a JSON object: `now`, `use_cases`, and `events`, each a subject and what was published on it. A line out is
a JSON object: by use case the model chosen as `[endpoint, name]`, or null. Both stay as they are: an earlier release is
asked by its own copy of this file, and by this one if it has none.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from vedette.clock import Clock
from vedette.messages.catalogue import Catalogue
from vedette.messages.codec import decode_event
from vedette.messages.events import Event
from vedette.settings import EndpointSettings
from vedette_recommender.answers import Answers
from vedette_recommender.as_of import At

try:
    from vedette.usecases import known
except ImportError:  # a release without a copy of this file
    from vedette_recommender.usecases import known  # type: ignore[import-not-found, no-redef]

Chosen = dict[str, tuple[str, str] | None]


def answers_to(events: Iterable[Event], clock: Clock, **further: Any) -> Answers:
    """Return what answers questions about the models that *events* tell of; *further* goes to `Answers`."""
    catalogue = Catalogue()
    made = list(events)
    endpoints = {event.model.endpoint for event in made}  # type: ignore[union-attr]
    for sequence, event in enumerate(made, 1):
        catalogue.apply(event, sequence)
    return Answers(
        catalogue=catalogue,
        endpoints={
            name: EndpointSettings(provider="ollama", url=f"http://{name}.example") for name in endpoints
        },
        use_cases=known({}),
        stale_after=timedelta(minutes=90),
        base_url=lambda _provider, _url: None,
        clock=clock,
        **further,
    )


def chosen(answers: Answers, use_cases: Sequence[str], **further: Any) -> Chosen:
    """Return the best model for each of *use_cases*, asked as an agent asks; *further* goes into each request."""
    found: Chosen = {}
    for use_case in use_cases:
        asked = json.dumps({"use_case": use_case, "limit": 1, **further}).encode()
        best = json.loads(answers.answer("recommend.best", asked))["recommendation"]
        model = best["model"] if best else None
        found[use_case] = (model["endpoint"], model["name"]) if isinstance(model, dict) else model
    return found


def scores(answers: Answers, use_case: str) -> dict[tuple[str, str], float]:
    """Return the score of every candidate."""
    asked = json.dumps({"use_case": use_case, "limit": 100}).encode()
    ranked = json.loads(answers.answer("recommend.top", asked))["recommendations"]
    return {(one["model"]["endpoint"], one["model"]["name"]): one["score"] for one in ranked}


def main() -> None:
    """Answer fleet after fleet until there are no more."""
    for line in sys.stdin:
        fleet = json.loads(line)
        events = [decode_event(subject, json.dumps(event).encode()) for subject, event in fleet["events"]]
        answers = answers_to(events, At(datetime.fromisoformat(fleet["now"])))
        print(json.dumps(chosen(answers, fleet["use_cases"])), flush=True)


if __name__ == "__main__":
    main()
