"""What an evaluation costs in tokens, by suite: estimated from the items, as the built-in suites ask them."""

from itertools import islice
from random import Random

from vedette.settings import Evaluating
from vedette.types import Capability
from vedette_benchmarker.suites import Item, Suite
from vedette_benchmarker.suites.registry import SUITES

SEEDS = 20


async def measure(*, items: int) -> None:
    """Print the mean tokens of *items* items of each suite: of the prompts, and at most of the answers.

    The sum is that of the standard level; the other levels follow.
    """
    asked = items or Evaluating().items
    print("| suite | prompt tokens | share | answer tokens at most |")
    print("|---|---|---|---|")
    text = [suite for suite in SUITES if suite.needs is not Capability.EMBEDDING]
    found = {suite.kind: _tokens(suite, asked) for suite in text}
    total = sum(prompts for prompts, _ in found.values())
    for kind, (prompts, answers) in found.items():
        print(f"| `{kind}` | {prompts:,} | {prompts / total:.0%} | {answers:,} |")
    print(f"| all | {total:,} | | {sum(answers for _, answers in found.values()):,} |")
    for suite in text:
        for name, level in suite.asked.items():
            if name != suite.kind:
                prompts, answers = _tokens(level, asked)
                print(f"| `{name}` | {prompts:,} | | {answers:,} |")


def _tokens(suite: Suite, items: int) -> tuple[int, int]:
    """Return the mean tokens of so many prompts, and at most of their answers."""
    made = [
        item
        for seed in range(SEEDS)
        for item in islice(suite.items(Random(seed)), items)
        if isinstance(item, Item)
    ]
    return sum(item.prompt_tokens for item in made) // SEEDS, sum(item.max_tokens for item in made) // SEEDS
