"""What an evaluation costs in tokens, by suite: estimated from the items, as the built-in suites ask them."""

from itertools import islice
from random import Random

from vedette.settings import Evaluating
from vedette.types import Capability
from vedette_benchmarker.suites import Item
from vedette_benchmarker.suites.registry import SUITES

SEEDS = 20


async def measure(*, items: int) -> None:
    """Print the mean tokens of *items* items of each suite: of the prompts, and at most of the answers."""
    asked = items or Evaluating().items
    print("| suite | prompt tokens | share | answer tokens at most |")
    print("|---|---|---|---|")
    found = {}
    for suite in SUITES:
        if suite.needs is Capability.EMBEDDING:
            continue
        made = [
            item
            for seed in range(SEEDS)
            for item in islice(suite.items(Random(seed)), asked)
            if isinstance(item, Item)
        ]
        prompts, answers = sum(item.prompt_tokens for item in made), sum(item.max_tokens for item in made)
        found[suite.kind] = (prompts // SEEDS, answers // SEEDS)
    total = sum(prompts for prompts, _ in found.values())
    for kind, (prompts, answers) in found.items():
        print(f"| `{kind}` | {prompts:,} | {prompts / total:.0%} | {answers:,} |")
    print(f"| all | {total:,} | | {sum(answers for _, answers in found.values()):,} |")
