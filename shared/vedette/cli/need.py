"""The options for constraints on a model: one for each constraint."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from cyclopts import Parameter

from vedette.cli import options
from vedette.messages.constraints import CONSTRAINTS, Constraint
from vedette.types import Capability

T = TypeVar("T")
_CAPABILITIES: Final = Constraint("capabilities", "Required capabilities.", tuple[Capability, ...], ())
_FIELDS: Final = {constraint.name: constraint for constraint in (_CAPABILITIES, *CONSTRAINTS)}


def _with_options(need: type[T]) -> type[T]:
    """Add a field to *need* for each constraint. A field of a dataclass is an option of a command."""
    for name, constraint in _FIELDS.items():
        repeated = " May be repeated." if constraint.is_list else ""
        parameter = Parameter(name=constraint.option, help=f"{constraint.description}{repeated}", negative=())
        need.__annotations__[name] = Annotated[constraint.type, options.Enumerated, parameter]
        setattr(need, name, constraint.default)
    return dataclass(frozen=True, kw_only=True)(need)


@Parameter(name="*")
@_with_options
class Need:
    """The constraints on the model."""

    def wanted(self) -> dict[str, Any]:
        """Return the given options, as keywords of the client."""
        return {name: value for name, value in vars(self).items() if value not in (None, ())}


NOTHING: Final = Need()


def option(field: str) -> str:
    """Return the option that sets *field* of a request, or the field's own name if there is none."""
    name = field.removeprefix("constraints.")
    return _FIELDS[name].option if name in _FIELDS else name
