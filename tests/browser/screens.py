"""Pictures of every page of the console, for docs/screens: light and dark, wide and narrow.

Run it from `tests`: uv run --group browser python -m browser.screens [SCREEN...]
"""

import asyncio
import sys
from collections.abc import Collection
from pathlib import Path

from browser.test_console import FORMS, SCREENS, expected, measuring, opened
from consoles import OPERATOR, Rig, fleet
from vedette.testing import EPOCH
from vedette.types import ModelRef
from vedette.usecases import known

FOLDER = Path(__file__).parents[2] / "docs" / "screens"
SIZES = {"wide": {"width": 1280, "height": 860}, "narrow": {"width": 390, "height": 844}}
MODELS = 45


async def main(wanted: Collection[str]) -> None:
    """Write the pictures of the screens *wanted*, by default of all."""
    rig = Rig(fleet(MODELS))
    for use_case in known({}):
        rig.announce(use_case, "ahead by 2.4 points")
    rig.changes.progress(measuring(ModelRef("gpu", "qwen3:8b")), EPOCH)
    async with rig.served() as url:
        for theme in ("light", "dark"):
            for name, size in SIZES.items():
                async with opened(url, color_scheme=theme, viewport=size) as (page, _):
                    for screen, path in (SCREENS | FORMS).items():
                        if wanted and screen not in wanted:
                            continue
                        if screen in FORMS:
                            await page.goto("/")  # from /login itself it would be no other page
                            await page.goto(f"/login#{OPERATOR}")
                            await page.wait_for_url(f"{url}/")
                        await page.goto(path)
                        await expected(page.locator("#live")).to_have_text("live")
                        if screen == "models":
                            await expected(page.locator("svg.bars").first).to_be_visible()
                        if screen == "model":
                            await expected(page.locator("canvas")).to_be_visible()
                        file = FOLDER / f"console-{screen}-{theme}-{name}.png"
                        await page.screenshot(path=file)
                        print(file.name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
