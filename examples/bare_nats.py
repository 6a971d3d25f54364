"""An agent without Vedette's client: a query and a subscription over NATS. Any language with a NATS client will do.

`vedette up` writes the URL, with an agent's credentials, into connection.json in its state directory.
"""

import asyncio
import json
import pathlib

import nats


async def main() -> None:
    """Query the best model once, then print every model that is found."""
    connection = json.loads((pathlib.Path.home() / ".local/share/vedette/connection.json").read_text())
    nc = await nats.connect(connection["nats_url"])
    found = await nc.subscribe("model.found")
    reply = await nc.request("recommend.best", b'{"use_case": "chat"}', timeout=2)
    print("best:", json.loads(reply.data)["recommendation"], flush=True)
    async for message in found.messages:
        # The broker repeats events from its streams, and says so. Without these headers it is no event.
        headers = message.headers or {}
        if headers.get("Nats-Stream") != "MODELS" or not headers.get("Nats-Subject", "").startswith(
            "model.found."
        ):
            continue
        print("found:", json.loads(message.data)["model"], flush=True)


asyncio.run(main())
