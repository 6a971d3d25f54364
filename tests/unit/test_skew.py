"""A newer version asks an older one, which refuses the fields that it does not know."""

from typing import Any

import msgspec
import pytest
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields
from nats.aio.msg import Msg

from vedette.client import ask
from vedette.errors import NoAnswer, RequestError
from vedette.messages.channels import QUERIES
from vedette.messages.codec import encode
from vedette.messages.constraints import Constraints
from vedette.messages.declaring import Query
from vedette.messages.queries import (
    MODELS_LIST,
    RECOMMEND_TOP,
    ErrorReply,
    ModelsReply,
    ModelsRequest,
    RecommendRequest,
    TopReply,
)
from vedette.messages.skew import without
from vedette.messages.validation import decode

REPLY = RECOMMEND_TOP.example()[1]


def _spec(field: FieldInfo, kind: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    if field.default_factory is not NODEFAULT:
        return field.name, kind, msgspec.field(default_factory=field.default_factory)
    return (field.name, kind) if field.default is NODEFAULT else (field.name, kind, field.default)


def older(request: type[Struct], *lacks: str, **other: Any) -> type[Struct]:
    """Return the *request* of a version that *lacks* fields; those of *other* have the types of that version."""
    specs = [_spec(field, other.get(field.name, field.type)) for field in fields(request)]
    kept = [spec for spec in specs if spec[0] not in lacks]
    return msgspec.defstruct(request.__name__, kept, frozen=True, kw_only=True, forbid_unknown_fields=True)


FIRST = older(
    RecommendRequest, "session", "bounds", constraints=older(Constraints, "unknown_capabilities") | None
)


class Older:
    """A connection to a service that decodes requests as *request*, by the code that services decode with."""

    def __init__(self, request: type[Struct], reply: bytes = encode(REPLY)) -> None:
        self._decoder = msgspec.json.Decoder(request)
        self._reply = reply
        self.taken: list[bytes] = []
        self.asked = 0

    async def request(self, subject: str, payload: bytes, **_: Any) -> Msg:
        """Reply as a service does."""
        self.asked += 1
        try:
            decode(payload, self._decoder)
        except RequestError as error:
            headers = {"Nats-Service-Error-Code": "400"}
            return Msg(None, subject, "", encode(ErrorReply.of(error)), headers)  # type: ignore[arg-type]
        self.taken.append(payload)
        return Msg(None, subject, "", self._reply, None)  # type: ignore[arg-type]


async def top(service: Older, request: bytes) -> TopReply:
    return await ask(service, "recommend.top", request, TopReply, timeout_s=30.0)  # type: ignore[arg-type]


async def test_hints_are_left_out() -> None:
    service = Older(FIRST)
    limits = Constraints(locality="local", unknown_capabilities="keep")
    request = encode(RecommendRequest(use_case="chat", session="s1", constraints=limits))
    assert await top(service, request) == REPLY
    assert service.asked == 3
    assert [msgspec.json.decode(one) for one in service.taken] == [
        {"use_case": "chat", "constraints": {"locality": "local"}}
    ]


async def test_what_has_its_default_is_left_out() -> None:
    """The client of this version lists models of the first one, which cannot sort."""
    asked = {"text": "qwen", "sort": "name", "descending": False}
    listed = MODELS_LIST.example()[1]
    service = Older(older(ModelsRequest, "sort", "descending"), encode(listed))
    payload = msgspec.json.encode(asked)
    await ask(service, "models.list", payload, ModelsReply, timeout_s=30.0)  # type: ignore[arg-type]
    assert service.taken == [b'{"text":"qwen"}']


async def test_what_the_reply_depends_on_is_refused_with_the_remedy() -> None:
    service = Older(FIRST)
    with pytest.raises(RequestError, match="does not know 'bounds'; update it") as caught:
        await top(service, encode(RecommendRequest(use_case="chat", bounds={"answer_s": 5.0})))
    assert (caught.value.code, caught.value.field) == ("unknown_field", "bounds")
    assert not service.taken


@pytest.mark.parametrize("field", ["constraints.max_tfft_ms", "limmit", "weights.speed.more", ""])
async def test_what_a_person_mistypes_is_refused_by_the_service(field: str) -> None:
    """No version knows it, so the service's own hint arrives."""
    assert without(b'{"use_case": "chat"}', RecommendRequest, field, "recommender") is None
    with pytest.raises(RequestError, match='did you mean "max_ttft_ms"'):
        await top(Older(FIRST), b'{"use_case": "chat", "constraints": {"max_tfft_ms": 5}}')


async def test_of_a_list_each_item_is_changed() -> None:
    reports = b'{"reports": [{"model": "a/m", "caller": null}, {"model": "b/m"}]}'
    request = next(one.request for one in QUERIES if one.subject == "report.measured")
    assert without(reports, request, "reports.caller", "recommender") == (
        b'{"reports":[{"model":"a/m"},{"model":"b/m"}]}'
    )


async def test_a_service_that_refuses_what_was_not_sent_is_not_asked_again() -> None:
    """It would be asked without end."""
    assert without(b'{"use_case": "chat"}', RecommendRequest, "session", "recommender") is None


async def test_a_reply_of_a_newer_version_that_cannot_be_read_is_none() -> None:
    service = Older(RecommendRequest, b'{"use_case": "chat", "recommendations": "many"}')
    with pytest.raises(NoAnswer, match="cannot read the reply of the recommender"):
        await top(service, b'{"use_case": "chat"}')


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.subject)
def test_defaults_of_a_request_never_go_over_the_wire(query: Query[Any, Any]) -> None:
    """A service that does not know a field refuses it, whatever its value."""
    wanting = [field for field in fields(query.request) if field.required]
    assert query.request.__struct_config__.omit_defaults or len(wanting) == len(fields(query.request))
