"""The constraints of a recommendation, defined only here. Pure.

A field of `Constraints` is a field of the request, an option of the command line, and a property of the MCP tools. Its
description is the help text of each. `Limits` has the same fields for type checkers, as keywords of the client.
`vedette_recommender.filtering` decides what a constraint rejects. `tests/unit/test_constraints.py` fails if one of
these is missing.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, TypedDict, get_args, get_origin, get_type_hints

from msgspec import Meta, Struct
from msgspec.structs import fields

from vedette.types import HINT, Evidence, Fraction, Status, Text

Names = Annotated[tuple[Text, ...], Meta(max_length=256)]
Size = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(gt=0)]


class Constraints(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The requirements for a model. Omitted fields are unconstrained."""

    min_context_tokens: Annotated[
        Annotated[int, Meta(ge=1, le=2**40)] | None, Meta(description="Minimum context in tokens.")
    ] = None
    max_ttft_ms: Annotated[
        Amount | None, Meta(description="Maximum time to first token in milliseconds, as things are now.")
    ] = None
    min_output_tps: Annotated[Amount | None, Meta(description="Minimum output tokens per second.")] = None
    max_price_usd_per_mtok: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="Maximum US dollars per million tokens, input or output, the higher of the two."),
    ] = None
    locality: Annotated[
        Literal["local", "remote"] | None,
        Meta(description="Where the model runs: on your own machines (local), or elsewhere (remote)."),
    ] = None
    providers: Annotated[Names | None, Meta(description="Only models of these providers.")] = None
    endpoints: Annotated[Names | None, Meta(description="Only models at these endpoints.")] = None
    families: Annotated[Names | None, Meta(description="Only models of these families.")] = None
    licenses: Annotated[Names | None, Meta(description="Only models with these licences.")] = None
    min_parameters: Annotated[Size | None, Meta(description="Minimum number of parameters.")] = None
    max_parameters: Annotated[Size | None, Meta(description="Maximum number of parameters.")] = None
    exclude: Annotated[
        Names, Meta(description="Models to exclude: endpoint/name, or a name at any endpoint.")
    ] = ()
    statuses: Annotated[
        Annotated[tuple[Status, ...], Meta(max_length=16)] | None,
        Meta(description="Only models with these statuses. Default: available, busy, degraded, unknown."),
    ] = None
    min_uptime_24h: Annotated[
        Fraction | None, Meta(description="Minimum uptime of the last 24 hours: 0 to 1.")
    ] = None
    evidence: Annotated[Evidence, Meta(description="Minimum evidence of a capability.")] = Evidence.INFERRED
    unmeasured: Annotated[
        Literal["keep", "reject"], Meta(description="Keep or reject models without a figure for a limit.")
    ] = "reject"
    unknown_capabilities: Annotated[
        Literal["keep", "reject"],
        Meta(
            description="If no model is known to have a capability: keep or reject the models that may have it.",
            extra=HINT,
        ),
    ] = "reject"


class Limits(TypedDict, total=False):
    """The same fields, as keywords of the client."""

    min_context_tokens: int
    max_ttft_ms: float
    min_output_tps: float
    max_price_usd_per_mtok: float
    locality: Literal["local", "remote"]
    providers: Sequence[str]
    endpoints: Sequence[str]
    families: Sequence[str]
    licenses: Sequence[str]
    min_parameters: int
    max_parameters: int
    exclude: Sequence[str]
    statuses: Sequence[str]
    min_uptime_24h: float
    evidence: Literal["inferred", "declared", "verified"]
    unmeasured: Literal["keep", "reject"]
    unknown_capabilities: Literal["keep", "reject"]


_SINGULARS: Final = {"capabilities": "capability", "families": "family", "statuses": "status"}


class Constraint(NamedTuple):
    """One field of `Constraints`, as a command-line option or a property of a tool."""

    name: str
    description: str
    type: Any  # without the limits of values, which the recommender checks
    default: Any

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return any(get_origin(kind) is tuple for kind in (self.type, *get_args(self.type)))

    @property
    def option(self) -> str:
        """The command-line option: singular if it takes several values, because it is then repeated."""
        name = _SINGULARS.get(self.name, self.name.removesuffix("s")) if self.is_list else self.name
        return f"--{name.replace('_', '-')}"


def _described() -> tuple[Constraint, ...]:
    plain, annotated = get_type_hints(Constraints), get_type_hints(Constraints, include_extras=True)
    return tuple(
        Constraint(
            name=field.name,
            description=annotated[field.name].__metadata__[-1].description,
            type=plain[field.name],
            default=field.default,
        )
        for field in fields(Constraints)
    )


CONSTRAINTS: Final[tuple[Constraint, ...]] = _described()
