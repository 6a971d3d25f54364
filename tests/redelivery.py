"""What was delivered and not acknowledged comes again after the product's minute: here it comes sooner."""

from nats.js.client import JetStreamContext


async def shorten_ack_wait(js: JetStreamContext, to_s: float) -> None:
    """Have every durable consumer deliver again after *to_s*, also what it has delivered already.

    A durable that is there keeps what an operator has set, so services that start later keep it. For a nats-server of
    the test's own: on a shared one the next test would have it too.
    """
    for stream in await js.streams_info():
        name = str(stream.config.name)
        for consumer in await js.consumers_info(name):
            if consumer.config.durable_name:
                await js.add_consumer(name, consumer.config.evolve(ack_wait=to_s))
