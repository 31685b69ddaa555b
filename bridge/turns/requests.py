"""What an agent asks back or wants leave for: as it is shown, who may decide, and what stands there once it is
settled. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from bridge.render.style import Dialect, Style
from bridge.render.whole import render_whole
from bridge.store.tables import SECOND
from bridge.store.values import ApprovalShown, Asked, DecisionMade, InputRequestShown
from bridge.turns.surface import Button

MAX_LABEL = 75  # characters: what both platforms show of a button, and of an option of a select
ROOM = 700  # of a message, as its style measures: for who may decide until when, and for what was decided
MAX_REASON = 300  # characters that are shown of it; the agent is told all
MAX_NAMES = 10  # of those who may decide, shown
MAX_SHOWN_NAME = 40  # characters of one

WRITE = "Write an answer"
LEAVE = "Leave it"
APPROVE = "Approve"
DECLINE = "Decline"


# --- who may decide ---------------------------------------------------------------------------------------------


def approvers(named: Collection[str], configured: Collection[str], asker: str) -> tuple[str, ...]:
    """Who may decide, as "slack:U…", "discord:…": whom the agent named, else whom the settings name, else who asked."""
    return tuple(dict.fromkeys(named or configured or (asker,)))


def who_may(request: ApprovalShown) -> str:
    """For people, as plain text. Names are of those on this platform."""
    if not request.names:
        return "Only the bot's admins may decide this here."
    shown = [" ".join(name.split())[:MAX_SHOWN_NAME] for name in request.names[:MAX_NAMES]]
    if left := len(request.names) - len(shown):
        shown.append(f"{left} more")
    others = f"{', '.join(shown[:-1])} or {shown[-1]}" if len(shown) > 1 else shown[0]
    return f"{others} may decide this."


# --- as it is shown ---------------------------------------------------------------------------------------------


def messages(request: Asked, style: Style) -> Sequence[str]:
    """The texts in which a request is shown; the last one carries its buttons."""
    return _with_foot(request, style, _foot(request, style.dialect))


def settled(request: Asked, style: Style, line: str) -> tuple[int, str]:
    """Which of its messages loses its buttons, and what that says then."""
    texts = _with_foot(request, style, style.dialect.literal(_cut(line)))
    last = len(messages(request, style)) - 1
    return last, texts[last] if last < len(texts) else texts[-1]


def buttons(request: Asked, style: Style, turn: str) -> Sequence[Button]:
    if isinstance(request, ApprovalShown):
        return (Button("approve", APPROVE, turn), Button("decline", DECLINE, turn))
    choices = [Button("choose", label, turn, str(index)) for index, label in enumerate(_labels(request, style))]
    return (*choices, Button("answer", WRITE, turn), Button("abandon", LEAVE, turn))


def _labels(request: InputRequestShown, style: Style) -> Sequence[str]:
    if len(request.choices) > style.max_choices:
        return ()
    if not _is_listed(request, style):
        return request.choices
    return [f"{number}. {_line(choice)}" for number, choice in enumerate(request.choices, start=1)]


def _is_listed(request: InputRequestShown, style: Style) -> bool:
    """Whether the choices stand in the text: there are more than can be pressed, or they are too long for that."""
    return len(request.choices) > style.max_choices or any(len(one) > MAX_LABEL for one in request.choices)


def _body(request: Asked, style: Style) -> str:
    if isinstance(request, ApprovalShown):
        return f"**Approval needed: {style.dialect.literal(request.title) or '…'}**\n\n{request.detail}"
    if not _is_listed(request, style):
        return request.text
    lines = (f"{number}. {_line(choice)}" for number, choice in enumerate(request.choices, start=1))
    return "\n".join([request.text, "", *lines])


def _foot(request: Asked, dialect: Dialect) -> str:
    if not isinstance(request, ApprovalShown):
        return ""
    at = request.until // SECOND
    utc = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{dialect.literal(who_may(request))}\n\nUntil {dialect.moment.format(at=at, utc=utc)}."


def _with_foot(request: Asked, style: Style, foot: str) -> list[str]:
    """What is below the request depends on its own text alone, so that the messages are the same ones once it has
    changed."""
    texts = [part.text for part in render_whole(_body(request, style), style)] or ["…"]
    if style.measure(texts[-1]) + ROOM <= style.limit:
        texts[-1] = f"{texts[-1]}\n\n{foot}" if foot else texts[-1]
    elif isinstance(request, ApprovalShown):
        texts.append(foot)
    return texts


def _line(text: str) -> str:
    return " ".join(text.split())


def _cut(line: str) -> str:
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"


# --- as it is answered ------------------------------------------------------------------------------------------


def meant(request: Asked | None, style: Style, text: str) -> str:
    """A written answer: where it is the number of a choice in the text, that choice."""
    if not isinstance(request, InputRequestShown) or not _is_listed(request, style):
        return text
    word = text.strip().rstrip(".)")
    if text.strip() in request.choices or not word.isdecimal():
        return text
    number = int(word) if len(word) < 6 else 0
    return request.choices[number - 1] if 0 < number <= len(request.choices) else text


def in_words(decision: DecisionMade) -> str:
    """A decision for a service that takes none."""
    if decision.approved:
        return "Approved"
    return f"Declined: {decision.reason}" if decision.reason else "Declined"


def line_of(decision: DecisionMade, name: str) -> str:
    """What stands in place of an approval's buttons, as plain text."""
    said = "Approved" if decision.approved else "Declined"
    return " · ".join(filter(None, (said, name, _line(decision.reason))))
