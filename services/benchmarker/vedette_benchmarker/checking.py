"""The benchmarker's checks of a configuration."""

import difflib
from collections.abc import Iterator

from vedette.errors import ConfigurationError
from vedette.settings import Settings
from vedette_benchmarker.suites.choosing import suites


def problems(settings: Settings) -> Iterator[ConfigurationError]:
    """Yield problems of suites, and each kind in a use case that no suite has."""
    try:
        chosen = suites(settings.evaluating.suites)
    except ConfigurationError as error:
        yield error
        chosen = suites(None)
    known = sorted({suite.kind for suite in chosen})
    for name, use_case in settings.recommend.use_cases.items():
        for kind in use_case.kinds:
            if kind not in known:
                near = difflib.get_close_matches(kind, known, n=1)
                hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"
                where = f"recommend.use_cases.{name}.kinds"
                yield ConfigurationError(where=where, problem=f"{kind!r} is not an evaluation kind; {hint}")
