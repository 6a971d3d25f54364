"""A program of somebody else: it knows NATS, JSON Schema and the AsyncAPI document, and nothing of Vedette's code.

`python subscriber.py ASYNCAPI URL` prints a line for each event that comes until it is told to stop.
"""

import asyncio
import json
import sys
from typing import Any

import jsonschema
import nats
from nats.aio.msg import Msg

_PLACEHOLDER = "*"


def events(document: dict[str, Any]) -> dict[str, str]:
    """Return the messages that the application sends, by subscription."""
    sent: dict[str, str] = {}
    for operation in document["operations"].values():
        if operation["action"] == "send":
            channel = document["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
            tokens = [
                _PLACEHOLDER if part.startswith("{") else part for part in channel["address"].split(".")
            ]
            (sent[".".join(tokens)],) = channel["messages"]
    return sent


def validator(document: dict[str, Any], message: str) -> jsonschema.Draft202012Validator:
    """Return what checks the payload of *message*."""
    schema = document["components"]["messages"][message]["payload"]
    return jsonschema.Draft202012Validator(
        schema | {"components": document["components"]}, format_checker=jsonschema.FormatChecker()
    )


async def main(file: str, url: str) -> None:
    """Subscribe to everything that the document says is sent."""
    with open(file) as opened:  # noqa: ASYNC230 - before anything else happens
        document = json.load(opened)
    connection = await nats.connect(url)
    for subject, message in events(document).items():
        checks = validator(document, message)

        async def on_message(got: Msg, message: str = message, checks: Any = checks) -> None:
            problems = [error.message for error in checks.iter_errors(json.loads(got.data))]
            print(json.dumps({"subject": got.subject, "message": message, "problems": problems}), flush=True)

        await connection.subscribe(subject, cb=on_message)
    await connection.flush()
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
