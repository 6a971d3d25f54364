"""Whether recorders have acknowledged all that streams hold."""

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from vedette.messages.consumers import recording


async def all_recorded(js: JetStreamContext, *streams: str) -> bool:
    """Return whether recorders have acknowledged every message of *streams*.

    Not by the number that waits: the broker counts a message for a consumer a moment after it has stored it.
    """
    return all([await _is_recorded(js, stream) for stream in streams])


async def _is_recorded(js: JetStreamContext, stream: str) -> bool:
    info = await js.consumer_info(stream, recording(stream).name)
    settled = info.ack_floor.stream_seq if info.ack_floor else 0
    try:
        await js.get_msg(stream, settled + 1, ">", direct=True, next=True)
    except NotFoundError:
        return not info.num_ack_pending
    return False
