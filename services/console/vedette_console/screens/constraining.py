"""The constraints in the forms of pages. The others work as parameters of the address."""

from typing import Final

from vedette.messages.constraints import CONSTRAINTS

LABELS: Final = {
    "min_context_tokens": "context, at least (tokens)",
    "max_ttft_ms": "TTFT, at most (ms)",
    "min_output_tps": "speed, at least (tokens/s)",
    "max_price_usd_per_mtok": "price, at most (USD/Mtok)",
    "min_uptime_24h": "up 24 h, at least (0 to 1)",
}
FORM: Final = tuple(one for one in CONSTRAINTS if one.name in LABELS)
