"""The speed of a streamed answer, from the packets that carried its tokens. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from vedette.providers import Delta
from vedette.quantiles import quantile
from vedette.text.figures import counted

MIN_TOKENS = 8  # with fewer tokens, the rate depends mostly on its two end points
MIN_PACKETS = 8
# Pieces closer together than this arrived in one packet: one read of the socket returns them together.
SAME_PACKET_S = 2e-4
# A stream with many tokens in each packet, in a small part of the time to its first token, was buffered on the way.
POURED_TOKENS_PER_PACKET = 4.0
POURED_SHARE = 0.1
MAX_OUTPUT_TPS = 10_000.0


class Pace(Struct, frozen=True, kw_only=True):
    """Tokens per second and the gaps between packets (s), or why the times give no figure."""

    output_tps: float | None = None
    gaps: tuple[float, ...] = ()
    problem: str = ""

    def gap_ms(self, q: float) -> float | None:
        """Return a quantile of the gaps in milliseconds."""
        return round(quantile(list(self.gaps), q) * 1000, 3) if self.gaps else None


def pace(sent_at: float, deltas: Sequence[Delta], tokens: int) -> Pace:
    """Return the speed of *tokens* in *deltas* of a request that was sent at *sent_at* (monotonic s).

    The rate is the number of tokens after the first packet, divided by the time from the first packet to the last.
    The number of tokens in the first packet follows from its pieces, or from its characters if a piece has several
    tokens.
    """
    packets = _packets(deltas, tokens)
    if tokens < MIN_TOKENS:
        return Pace()
    if len(packets) < MIN_PACKETS:
        if len(deltas) < MIN_PACKETS and tokens < 2 * MIN_PACKETS:
            return Pace()
        return Pace(problem=f"no tokens/s: {tokens} tokens came in {counted(len(packets), 'packet')}")
    first_at, last_at = packets[0][0], packets[-1][0]
    timed = tokens - packets[0][1]
    took = last_at - first_at
    poured = tokens / len(packets) >= POURED_TOKENS_PER_PACKET and took < POURED_SHARE * (first_at - sent_at)
    if timed < MIN_TOKENS or poured or timed / took > MAX_OUTPUT_TPS:
        return Pace(
            problem=f"no tokens/s: the stream was collected on its way ({tokens} tokens within {took:.3f} s)"
        )
    gaps = tuple(after - before for (before, _), (after, _) in pairwise(packets))
    return Pace(output_tps=round(timed / took, 3), gaps=gaps)


def _packets(deltas: Sequence[Delta], tokens: int) -> list[tuple[float, float]]:
    """Return the arrival time of each packet, and how many of *tokens* it had."""
    one_each = 0.9 * tokens <= len(deltas) <= 1.1 * tokens
    weights = [1.0 if one_each else float(len(delta.text) + len(delta.thinking)) for delta in deltas]
    token = tokens / (sum(weights) or 1.0)
    packets: list[tuple[float, float]] = []
    last_at = 0.0
    for delta, weight in zip(deltas, weights, strict=True):
        if packets and delta.at - last_at < SAME_PACKET_S:
            at, held = packets[-1]
            packets[-1] = (at, held + weight * token)
        else:
            packets.append((delta.at, weight * token))
        last_at = delta.at
    return packets
