"""Prompts by the use case that they are for, as requests."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from vedette.providers.observing import Api

OWN: Final = Path(__file__).with_name("examples.toml")
_NAMED: Final = re.compile(r"\{(\w+)(?:\*(\d+))?\}")
_PICTURE: Final = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


class Example(Struct, frozen=True):
    """A request for `vedette/auto`, and the use case that it is for."""

    use_case: str
    api: Api
    body: bytes


def read(path: Path = OWN) -> list[Example]:
    """Return the prompts of a file; `examples.toml` says how it is written."""
    written = tomllib.loads(path.read_text("utf-8"))
    texts = {name: text.strip() for name, text in written["texts"].items()}
    return [
        _example(use_case, {"turns": [one]} if isinstance(one, str) else one, texts)
        for use_case, prompts in written["prompts"].items()
        for one in prompts
    ]


def _example(use_case: str, prompt: Mapping[str, Any], texts: Mapping[str, str]) -> Example:
    fields = dict(prompt)
    api: Api = fields.pop("api", "chat/completions")
    body = {"model": "vedette/auto", **fields}
    if turns := body.pop("turns", None):
        body["messages"] = list(_messages(body.pop("system", None), turns, body.pop("images", 0), texts))
    return Example(use_case, api, msgspec.json.encode(body))


def _messages(
    system: str | None, turns: list[str], images: int, texts: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    def whole(text: str) -> str:
        filled = _NAMED.sub(
            lambda found: (
                "\n\n".join([texts[found[1]]] * int(found[2] or 1)) if found[1] in texts else found[0]
            ),
            text,
        )
        return filled.strip()

    if system is not None:
        yield {"role": "system", "content": whole(system)}
    for at, turn in enumerate(turns):
        is_last = at == len(turns) - 1
        content: Any = whole(turn)
        if is_last and images:
            content = [{"type": "text", "text": content}, *[_PICTURE] * images]
        yield {"role": "assistant" if at % 2 else "user", "content": content}
