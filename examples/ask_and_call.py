"""Ask which model to use for a chat now, and call it.

Start Vedette (`vedette demo --stay`), then `python examples/ask_and_call.py`.
"""

import asyncio
import os
import sys

import httpx

from vedette import Client


async def main() -> int:
    question = " ".join(sys.argv[1:]) or "Name a colour."
    async with Client() as vedette:
        reply = await vedette.best("chat", locality="local")
    if reply.recommendation is None:
        print(f"no model fits; relax {reply.relax.constraint}" if reply.relax else "no model is known yet")
        return 1
    for choice in (reply.recommendation, *reply.fallbacks):
        print(
            f"{choice.model}: {choice.score:.0f} of 100, {choice.output_tps or '?'} tokens/s", file=sys.stderr
        )
        if choice.base_url is None:
            continue
        try:
            print(await call(choice.base_url, choice.model.name, choice.key_ref, question))
        except httpx.HTTPError as error:
            print(f"{choice.model}: {error}; trying the next", file=sys.stderr)
        else:
            return 0
    return 1


async def call(base_url: str, model: str, key_ref: str | None, question: str) -> str:
    """Return the model's answer. `key_ref` names the variable with its key ("env:NAME"); Vedette never sends keys."""
    headers = {}
    if key_ref and key_ref.startswith("env:"):
        headers["Authorization"] = f"Bearer {os.environ[key_ref.removeprefix('env:')]}"
    body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": 64}
    async with httpx.AsyncClient(timeout=120) as http:
        response = await http.post(f"{base_url}/chat/completions", json=body, headers=headers)
    response.raise_for_status()
    return str(response.json()["choices"][0]["message"]["content"])


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
