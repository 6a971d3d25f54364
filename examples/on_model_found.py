"""List all models, then print each new one, without Vedette's client. Any NATS client in any language can do this.

Start Vedette, then run `python examples/on_model_found.py ~/.local/share/vedette/connection.json`.
"""

import asyncio
import json
import sys
from pathlib import Path

import nats


async def main(url: str) -> None:
    connection = await nats.connect(url)
    # Subscribe first, then list: `as_of.sequence` says which of the received events are already in the list.
    events = await connection.subscribe("model.found")
    listed = json.loads((await connection.request("models.list", b"{}", timeout=5)).data)
    for model in listed["models"]:
        print("known", model["model"]["endpoint"], model["model"]["name"], flush=True)
    async for message in events.messages:
        headers = message.headers or {}
        # The broker repeats events from its streams, and says so. Without these headers it is no event.
        if headers.get("Nats-Stream") != "MODELS":
            continue
        if int(headers["Nats-Sequence"]) <= listed["as_of"]["sequence"]:
            continue
        found = json.loads(message.data)
        print("found", found["model"]["endpoint"], found["model"]["name"], flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())["nats_url"]))
