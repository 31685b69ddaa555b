"""What a person wrote on a platform, as the Markdown that an agent gets: mentions become names."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime

# Gives the name for a platform's id of a user, channel, role or group; "" where the mention is to go, as the
# bot's own is; None where nobody knows.
NameOf = Callable[[str], str | None]

_SLACK_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
_SLACK_TOKEN = re.compile(r"<([^<>\n]+)>( ?)")
_SLACK_BOLD = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]*[^\s*])\*(?![\w*])")
_SLACK_STRIKE = re.compile(r"(?<![\w~])~(?=[^\s~])([^~\n]*[^\s~])~(?![\w~])")
_SLACK_BULLET = re.compile(r"^([ \t]*)[•◦▪][ \t]+", re.MULTILINE)

_DISCORD_CODE = re.compile(r"(```.*?```|``.+?``|`[^`\n]+`)", re.DOTALL)
_DISCORD_TOKEN = re.compile(
    r"<(?:(?P<kind>@[!&]?|#)(?P<id>[0-9]+)|a?:(?P<emoji>\w+):[0-9]+|t:(?P<time>-?[0-9]{1,12})(?::[a-zA-Z])?"
    r"|/(?P<command>[^<>:\n]+):[0-9]+|id:(?P<place>[a-z-]+))>( ?)"
)


def from_slack(text: str, name_of: NameOf) -> str:
    """The text of a Slack message event, which is mrkdwn, as Markdown. Code stays as it is."""
    pieces = _SLACK_CODE.split(text)
    pieces[::2] = (_slack_words(piece, name_of) for piece in pieces[::2])
    pieces[1::2] = map(_slack_code, pieces[1::2])
    return "".join(pieces).strip()


def _slack_code(piece: str) -> str:
    code = html.unescape(_SLACK_TOKEN.sub(lambda token: token[1].rpartition("|")[2] + token[2], piece))
    if not code.startswith("```"):
        return code
    inside = code[3:-3].strip("\n")
    return f"```\n{inside}\n```"


def _slack_words(piece: str, name_of: NameOf) -> str:
    tokens = [_slack_token(token, name_of) for token in _SLACK_TOKEN.finditer(piece)]
    # What stands in a token, an address for one, isn't to be taken for emphasis.
    piece = _SLACK_TOKEN.sub("\0", piece.replace("\0", ""))
    piece = _SLACK_BOLD.sub(r"**\1**", piece)
    piece = _SLACK_STRIKE.sub(r"~~\1~~", piece)
    piece = _SLACK_BULLET.sub(r"\1- ", piece)
    first, *others = _unescape(piece).split("\0")
    return first + "".join(token + following for token, following in zip(tokens, others, strict=True))


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _slack_token(token: re.Match[str], name_of: NameOf) -> str:
    target, _, label = token[1].partition("|")
    label, space = _unescape(label), token[2]
    if target.startswith(("@", "#")):
        name = name_of(target[1:])
        if name == "":
            return ""
        return f"{target[0]}{(name or label or target[1:]).removeprefix(target[0])}{space}"
    if target.startswith("!subteam^"):
        name = name_of(target.removeprefix("!subteam^"))
        return f"@{(name or label or 'group').removeprefix('@')}{space}"
    if target.startswith("!"):
        return f"{label or '@' + target[1:].partition('^')[0]}{space}"
    target = _unescape(target)
    plain = target.removeprefix("mailto:").removeprefix("tel:")
    if not label or label in (target, plain):
        return f"{plain}{space}"
    escaped = label.replace("[", "\\[").replace("]", "\\]")
    return f"[{escaped}]({target}){space}"


def from_discord(text: str, name_of: NameOf) -> str:
    """The content of a Discord message as Markdown. Code stays as it is."""
    pieces = _DISCORD_CODE.split(text)
    pieces[::2] = (
        _DISCORD_TOKEN.sub(lambda token: _discord_token(token, name_of), piece) for piece in pieces[::2]
    )
    return "".join(pieces).strip()


def _discord_token(token: re.Match[str], name_of: NameOf) -> str:
    space = token[7]
    if token["kind"]:
        name = name_of(token["id"])
        if name == "":
            return ""
        mark = token["kind"][0]
        return f"{mark}{(name or token['id']).removeprefix(mark)}{space}"
    if token["emoji"]:
        return f":{token['emoji']}:{space}"
    if token["time"]:
        return f"{_moment(int(token['time']))}{space}"
    return f"/{token['command']}{space}" if token["command"] else f"#{token['place']}{space}"


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return str(seconds)
