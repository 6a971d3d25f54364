"""Makes documents from the messages: JSON Schemas, the AsyncAPI document, types for generators, a page. Pure."""

from typing import Any, Final

from vedette import __version__
from vedette.messages.channels import CHANNELS, QUERIES
from vedette.messages.documents.asyncapi import HEADERS, asyncapi
from vedette.messages.documents.page import page
from vedette.messages.documents.schemas import DRAFT, pretty, schemas, types
from vedette.messages.queries import ErrorReply

__all__ = ["FILES", "asyncapi", "document", "files", "page", "schemas", "types"]
FILES: Final = ("contracts.json", "asyncapi.json", "types.json", "events.md")


def document() -> dict[str, Any]:
    """Return all contracts as one JSON document: channels, queries, headers, schemas."""
    return {
        "title": "Vedette",
        "version": __version__,
        "headers": HEADERS,
        "channels": [
            {
                "subject": channel.subject,
                "message": channel.name,
                "description": channel.doc,
                "stream": channel.stream,
                "copied_to": channel.copy,
                "sent_by": channel.publishers,
                "heard_by": (*channel.consumers, *(("anybody",) if channel.copy else ())),
                "schema": {"$ref": f"#/schemas/{channel.name}"},
            }
            for channel in CHANNELS
        ],
        "questions": [
            {
                "subject": query.subject,
                "description": query.doc,
                "asked_by": ("anybody",),
                "answered_by": (query.service,),
                "request": {"$ref": f"#/schemas/{query.request.__name__}"},
                "reply": {"$ref": f"#/schemas/{query.reply.__name__}"},
                "error": {"$ref": f"#/schemas/{ErrorReply.__name__}"},
            }
            for query in QUERIES
        ],
        "schemas": {name: {"$schema": DRAFT} | schema for name, schema in schemas().items()},
    }


def files() -> dict[str, str]:
    """Return the text of each document to store, by file name."""
    return dict(zip(FILES, (pretty(document()), pretty(asyncapi()), pretty(types()), page()), strict=True))
