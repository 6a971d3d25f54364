"""Reads the annotations `vedette.dev/…` of an object (labels of a container). Pure.

The text is not trusted: each value must have a given form and length. The error for an unknown key names the nearest
known one.
"""

import difflib
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from vedette_discoverer.sources.view import Unfit

PREFIX: Final = "vedette.dev/"
_MAX_MODELS: Final = 100
_MAX_MODEL: Final = 512

Word = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?\Z")]
Path = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){0,8}/?\Z", max_length=200)]


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """The annotations of one object. `provider` is enough to make a Service an endpoint."""

    ignore: Literal["true", "false"] = "false"
    provider: Word | None = None
    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,40}\Z")] | None = None
    port: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,15}\Z")] | None = None
    scheme: Literal["http", "https"] | None = None
    path: Path | None = None
    flavour: Word | None = None
    key: Word | None = None
    host_group: Word | None = None
    locality: Literal["local", "remote"] | None = None
    models: Annotated[str, Meta(min_length=1, max_length=8000)] | None = None
    measure: Literal["false"] | None = None
    replicas: Literal["one", "each"] = "one"


_FORMS: Final = {
    "port": "the name or the number of a port",
    "path": "a path such as /v1",
    "measure": '"false"; only an operator allows measuring',
    "name": "lower-case letters, digits and hyphens, at most 41",
    "ignore": '"true" or "false"',
    "scheme": '"http" or "https"',
    "locality": '"local" or "remote"',
    "replicas": '"one" or "each"',
    "models": "names, separated by commas",
}


def asked(annotations: Mapping[str, Any], *, providers: Collection[str]) -> Asked:
    """Return the request in *annotations*. Raises Unfit, which names the annotation and its expected form."""
    ours = {key.removeprefix(PREFIX): value for key, value in annotations.items() if key.startswith(PREFIX)}
    known = [field.encode_name for field in msgspec.structs.fields(Asked)]
    for key in ours:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f'did you mean "{PREFIX}{near[0]}"?' if near else f"known: {', '.join(known)}"
            raise Unfit(f"{PREFIX}{key[:60]}: unknown; {hint}")
    try:
        found = msgspec.convert(ours, Asked)
    except msgspec.ValidationError as error:
        key = str(error).partition(" - at `$.")[2].strip("`")
        form = _FORMS.get(key, "letters, digits, dots and hyphens, at most 63")
        raise Unfit(f"{PREFIX}{key}: should be {form}") from error
    if found.provider is not None and found.provider not in providers:
        near = difflib.get_close_matches(found.provider, providers, n=1, cutoff=0.75)
        others = f"most servers are openai-compatible; known: {', '.join(sorted(providers))}"
        hint = f'did you mean "{near[0]}"?' if near else others
        raise Unfit(f"{PREFIX}provider: no provider is called {found.provider!r}; {hint}")
    return found


def models_of(text: str | None) -> tuple[str, ...]:
    """Return the names that *text* lists, separated by commas. Raises Unfit."""
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if len(names) > _MAX_MODELS:
        raise Unfit(f"{PREFIX}models: {len(names)} names, more than {_MAX_MODELS}")
    if any(len(name) > _MAX_MODEL or not name.isprintable() for name in names):
        raise Unfit(f"{PREFIX}models: should be names of printable characters, at most {_MAX_MODEL} each")
    return names


def settings_of(found: Asked, *, provider: str, url: str, group: str | None = None) -> dict[str, Any]:
    """Return the keys of `[endpoints.NAME]` that *found* gives at *url*, with *group* as the host group.

    *provider* applies if *found* names none.
    """
    settings = {
        "provider": found.provider or provider,
        "url": url,
        "flavour": found.flavour,
        "host_group": group,
        "locality": found.locality,
        "models": list(models_of(found.models)),
        "measure": False if found.measure == "false" else None,
    }
    return {key: value for key, value in settings.items() if value not in (None, [])}
