"""The AsyncAPI 3.0 document: the events that other programs may receive, and the queries they may send. Pure."""

import inspect
from typing import Any, Final

from msgspec import Struct

from vedette import __version__
from vedette.messages.channels import CHANNELS, QUERIES, Channel
from vedette.messages.declaring import Query
from vedette.messages.documents import components, examples
from vedette.messages.documents.schemas import Schema, asked, schemas
from vedette.messages.queries import ErrorReply

HEADERS: Final = {
    "Nats-Msg-Id": "The event's id: a message that is published twice is stored once.",
    "ce-specversion": "1.0: CloudEvents, in its binary mode.",
    "ce-id": "The event's id.",
    "ce-type": "vedette. and the kind of event.",
    "ce-source": "/vedette/ and the service that published it.",
    "ce-time": "When it happened, RFC 3339.",
    "ce-subject": "The subject that it was published on.",
}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of Vedette.

    It has the events that other programs may receive, and the queries that they may send. It leaves out jobs,
    progress and dead letters, which are internal.
    """
    copied = [channel for channel in CHANNELS if channel.copy]
    replies = asked()
    ref = "#/components/schemas/{name}"
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Vedette",
            "version": __version__,
            "description": (
                "Discovers language models, measures them, and says which one to use now. Events carry the new fact "
                "and the state that results from it; fields are only ever added. Requests are strict: an unknown "
                "field is an error that names it."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "nats": {
                "host": "{host}",
                "protocol": "nats",
                "description": "`vedette up` writes the URL for agents into connection.json of its state directory.",
                "variables": {"host": {"default": "127.0.0.1:4222", "description": "The NATS server."}},
            }
        },
        "channels": {
            **{_camel(channel.name): _event_channel(channel) for channel in copied},
            **{key: value for query in QUERIES for key, value in _query_channels(query).items()},
        },
        "operations": {
            **{
                f"send{channel.name}": {
                    "action": "send",
                    "summary": channel.doc,
                    "channel": {"$ref": f"#/channels/{_camel(channel.name)}"},
                }
                for channel in copied
            },
            **{_camel(query.subject): _operation(query) for query in QUERIES},
        },
        "components": {
            "messages": {
                **{channel.name: _event_message(channel) for channel in copied},
                **{shape.__name__: _message(shape) for shape in replies},
            },
            "schemas": components.named(
                schemas(ref, [*(channel.message for channel in copied), *replies]), ref
            ),
        },
    }


def _event_channel(channel: Channel) -> Schema:
    address = channel.copy or channel.subject
    made: Schema = {
        "address": _address(address),
        "description": f"Sent by the {', '.join(channel.publishers)}.",
        "messages": {channel.name: {"$ref": f"#/components/messages/{channel.name}"}},
    }
    parameters = [token[1:-1] for token in address.split(".") if token.startswith("{")]
    if parameters:
        made["parameters"] = {
            _camel(name): {"description": f"The {name}, as one subject token."} for name in parameters
        }
    return made


def _address(subject: str) -> str:
    tokens = (
        f"{{{_camel(token[1:-1])}}}" if token.startswith("{") else token for token in subject.split(".")
    )
    return ".".join(tokens)


def _query_channels(query: Query[Any, Any]) -> dict[str, Schema]:
    name = _camel(query.subject)
    request, reply = query.request.__name__, query.reply.__name__
    return {
        name: {
            "address": query.subject,
            "description": query.doc,
            "messages": {request: {"$ref": f"#/components/messages/{request}"}},
        },
        f"{name}Reply": {
            "address": None,  # the inbox that the request names
            "messages": {
                shape: {"$ref": f"#/components/messages/{shape}"} for shape in (reply, ErrorReply.__name__)
            },
        },
    }


def _operation(query: Query[Any, Any]) -> Schema:
    name = _camel(query.subject)
    shapes = (query.reply.__name__, ErrorReply.__name__)
    return {
        "action": "receive",
        "summary": query.doc,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{query.request.__name__}"}],
        "reply": {
            "channel": {"$ref": f"#/channels/{name}Reply"},
            "messages": [{"$ref": f"#/channels/{name}Reply/messages/{shape}"} for shape in shapes],
        },
        "bindings": {"nats": {"queue": query.service, "bindingVersion": "0.1.0"}},
    }


def _message(shape: type[Struct]) -> Schema:
    return {
        "name": shape.__name__,
        "title": shape.__name__,
        "summary": " ".join(inspect.cleandoc(shape.__doc__ or "").split()),
        "contentType": "application/json",
        "examples": [{"payload": examples.documents()[shape.__name__]}],
        "payload": {"$ref": f"#/components/schemas/{shape.__name__}"},
    }


def _event_message(channel: Channel) -> Schema:
    headers = {name: {"type": "string", "description": description} for name, description in HEADERS.items()}
    return _message(channel.message) | {"headers": {"type": "object", "properties": headers}}


def _camel(name: str) -> str:
    first, *others = name.replace(".", " ").split()
    return first[:1].lower() + first[1:] + "".join(word.capitalize() for word in others)
