"""Encodes messages to JSON, and decodes events from subject and JSON. Pure."""

import msgspec
from msgspec import Struct

from vedette.errors import UndecodableMessage, UnknownEvent
from vedette.messages.channels import EVENTS, PUBLIC_ANSWERS
from vedette.messages.events import AnswerChanged, Event

_encoder = msgspec.json.Encoder()
_event_decoders = {event.TYPE: msgspec.json.Decoder(event) for event in EVENTS}


def encode(message: Struct) -> bytes:
    """Return *message* as JSON."""
    return _encoder.encode(message)


def kind_of(subject: str) -> str:
    """Return the `TYPE` of the events on *subject*, which may be the subject of a public copy."""
    if subject.startswith(PUBLIC_ANSWERS):
        return AnswerChanged.TYPE
    first, _, rest = subject.partition(".")
    return first if first in _event_decoders else f"{first}.{rest.partition('.')[0]}"


def decode_event(subject: str, payload: bytes) -> Event:
    """Return the event in *payload*, whose kind follows from *subject* (its own, or that of its public copy).

    Raises UndecodableMessage with the reason, and UnknownEvent if this version knows no event on *subject*.
    """
    decoder = _event_decoders.get(kind_of(subject))
    if decoder is None:
        raise UnknownEvent(subject=subject)
    try:
        return decoder.decode(payload)
    # RecursionError: nesting that is valid JSON; UnicodeDecodeError: invalid UTF-8 inside a string.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableMessage(subject=subject, problem=str(error)) from error
