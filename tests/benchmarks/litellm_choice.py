"""LiteLLM's router in a process and an environment of its own: `python litellm_choice.py ORDER TOLD`.

ORDER is a JSON file: deployments of one group, strategies, how many real calls to make first, how many choices to
time. TOLD is written: for each strategy what was chosen how often, and how long a choice took. It is run by
`uv run --with litellm`; neither it nor LiteLLM is a part of Vedette.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the internet for prices first

GROUP = "chat"
_MESSAGES = [{"role": "user", "content": "Name a colour."}]


async def choose(order: dict[str, Any], strategy: str) -> dict[str, Any]:
    from litellm import Router  # type: ignore[import-not-found]

    began = time.perf_counter()
    router = Router(model_list=order["deployments"], routing_strategy=strategy, num_retries=0)
    built_s = time.perf_counter() - began
    for _ in range(order["calls"]):
        await router.acompletion(model=GROUP, messages=_MESSAGES, max_tokens=16)
    if not order["calls"] and strategy == "latency-based-routing":
        _report_latencies(router, [one["model_info"]["id"] for one in order["deployments"]])
    chosen: Counter[str] = Counter()
    took_ms = []
    for _ in range(order["choices"]):
        began = time.perf_counter()
        deployment = await router.select(GROUP, {}, messages=_MESSAGES)
        took_ms.append((time.perf_counter() - began) * 1000)
        chosen[deployment["model_info"]["id"]] += 1
    cuts = statistics.quantiles(took_ms, n=100, method="inclusive")
    return {
        "strategy": strategy,
        "built_s": built_s,
        "chosen": dict(chosen.most_common(5)),
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "n": len(took_ms),
    }


def _report_latencies(router: Any, deployments: list[str]) -> None:
    """Tell the router of one call to each deployment, as its own callback does after a call."""
    from litellm import ModelResponse

    rng, now = Random(1), datetime.now()
    for deployment in deployments:
        call = {"metadata": {"model_group": GROUP}, "model_info": {"id": deployment}}
        usage = {"prompt_tokens": 5, "completion_tokens": 50, "total_tokens": 55}
        took = timedelta(seconds=rng.uniform(0.5, 30))
        router.lowestlatency_logger.log_success_event(
            {"litellm_params": call}, ModelResponse(usage=usage), now - took, now
        )


async def choose_by_each(order: dict[str, Any]) -> list[dict[str, Any]]:
    return [await choose(order, strategy) for strategy in order["strategies"]]


if __name__ == "__main__":
    answers = asyncio.run(choose_by_each(json.loads(Path(sys.argv[1]).read_text())))
    Path(sys.argv[2]).write_text(json.dumps(answers))
