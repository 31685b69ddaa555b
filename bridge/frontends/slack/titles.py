"""What a thread is called where only a line of it is shown: its question. No I/O."""

from __future__ import annotations

from bridge.prompts import shortened
from bridge.render.incoming import from_slack
from bridge.render.slack import SLACK


def title_of(question: str, most: int) -> str:
    """A question as Slack wrote it, as plain text in one line, without the mentions of people; "" if nothing is left.
    It can't mention anyone."""
    return shortened(SLACK.escape(from_slack(question, _name_of)), most)


def _name_of(reference: str) -> str | None:
    return "" if reference.startswith(("U", "W")) else None
