"""A bar for a large file that is on its way."""

from __future__ import annotations

from bridge.frontends.common.sizes import in_words
from bridge.turns.progress import Progress

WIDTH = 10  # signs of the bar


def bar(progress: Progress) -> str:
    """A line for people; "" where the file isn't large."""
    if not progress.is_large:
        return ""
    doing = "Bringing it here" if progress.going_out else "Fetching it"
    if not progress.total:
        return f"{doing}: {in_words(progress.moved)} so far"
    part = min(1.0, progress.moved / progress.total)
    full = int(part * WIDTH)
    filled = "▰" * full + "▱" * (WIDTH - full)
    return f"{doing}: {filled} {int(part * 100)} % of {in_words(progress.total)}"
