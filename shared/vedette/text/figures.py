"""Two figures in one sentence: written so that they differ where they differ. Pure."""

_MAX_DIGITS = 17  # of a float: with so many, any two differ


def apart(one: float, other: float, digits: int, *, fixed: bool = False) -> tuple[str, str]:
    """Return both numbers with *digits*, or with as many more as it takes to distinguish them.

    These are significant digits, or those behind the point when *fixed*.
    """
    kind = "f" if fixed else "g"
    for precision in range(digits, _MAX_DIGITS + 1):
        texts = f"{one:,.{precision}{kind}}", f"{other:,.{precision}{kind}}"
        if texts[0] != texts[1] or one == other:
            return texts
    return repr(one), repr(other)
