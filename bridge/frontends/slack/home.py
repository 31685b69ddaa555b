"""The Home tab: a person's own threads and files, and what can be asked. Made anew whenever they open it, and sent only
where it has changed; nothing is published for anybody who doesn't look.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import structlog
from cachetools import LRUCache

from bridge.commands import COMMANDS
from bridge.frontends.common.asking import Asking
from bridge.frontends.common.sizes import in_words
from bridge.frontends.slack.content import Payload
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.prompts import PromptsAt
from bridge.frontends.slack.titles import title_of
from bridge.frontends.slack.workspace import Workspace
from bridge.inbound import Address, Person
from bridge.prompts import Prompt
from bridge.render.slack import SLACK, slack_mrkdwn
from bridge.turns.inbox import Listed, Order

log = structlog.get_logger()

PUBLISH = "views.publish"
NOT_ENABLED = "not_enabled"  # an app that was made without a Home tab
PERMALINK = "chat.getPermalink"
WITHIN = 20.0  # seconds for all of it, while a person looks at the tab as it was
FILES_WITHIN = 4.0  # seconds that agents get to list files; the tab comes without what came later
CALL_WITHIN = 5.0  # seconds for one call
AT_ONCE = 20  # people whose tab is being made; who comes on top opens it again
REMEMBERED = 10_000  # links, and people whose tab is known

THREADS = 6  # shown, of those that `Inbox.recent` gives
THREADS_WITH_FILES = 3  # the newest, whose agents are asked for files
FILES = 8  # shown in all, the newest of each thread first
MAX_QUESTION = 150  # characters
MAX_NAME = 120

BRING = "threadbridge-home-file:"  # of the buttons' action ids; the value is channel, thread and name
NEW = "threadbridge-home-new"  # leads to the direct message, where each message begins a conversation
OPEN = "threadbridge-home-open:"

NO_THREADS = "None yet. Write to me in *Messages*, or mention me in a channel."
HOW = (
    "Write to me in *Messages*: each message there begins a conversation, and its thread goes on with it."
    " In a channel, mention me. Files may come along."
)

_CHANNEL = re.compile(r"[CDG][A-Z0-9]+")


@dataclass(frozen=True, slots=True)
class Opened:
    """A person opened one of the app's own tabs."""

    person: Person
    channel: str  # their direct message with the app
    tab: str
    hash: str  # of the Home tab that Slack shows; "" where nothing was published yet

    @classmethod
    def of(cls, body: Payload) -> Opened | None:
        """Read an `event_callback`; None if it is another event."""
        event: Payload = body.get("event") or {}
        if event.get("type") != "app_home_opened" or not event.get("user"):
            return None
        return cls(
            Person(str(event["user"]), workspace=str(body.get("team_id") or "")),
            str(event.get("channel") or ""),
            str(event.get("tab") or ""),
            str((event.get("view") or {}).get("hash") or ""),
        )


class Thread(NamedTuple):
    address: Address
    question: str
    link: str  # "" where Slack gives none


class Made(NamedTuple):
    address: Address
    file: Listed


class Home:
    """For one workspace. `bring` brings a file to whoever orders it."""

    def __init__(
        self, asking: Asking, workspace: Workspace, prompts_at: PromptsAt, bring: Callable[[Order], None]
    ) -> None:
        self._asking = asking
        self._workspace = workspace
        self._prompts_at = prompts_at
        self._bring = bring
        self._links: MutableMapping[tuple[str, str], str] = LRUCache(REMEMBERED)
        self._published: MutableMapping[str, tuple[int, str]] = LRUCache(REMEMBERED)  # content and hash by person
        self._making: set[str] = set()  # people
        self._again: dict[str, Opened] = {}  # opened once more while it was being made

    async def show(self, opened: Opened) -> None:
        """Bring the tab up to date. Raises nothing; several openings at once are one or two."""
        person = opened.person.id
        if self._workspace.refusals.has(PUBLISH, ""):
            return
        if person in self._making:
            self._again[person] = opened
            return
        if len(self._making) >= AT_ONCE:
            log.info("slack.home_not_made", reason=f"{AT_ONCE} are being made")
            return
        self._making.add(person)
        try:
            await self._show(opened)
            if latest := self._again.pop(person, None):
                _, now = self._published.get(person, (0, ""))
                await self._show(replace(latest, hash=now))
        finally:
            self._making.discard(person)
            self._again.pop(person, None)

    async def pressed(self, body: Payload) -> bool:
        """A press on the tab. False if it is another's button. Raises what the inbox raises."""
        action: Payload = (body.get("actions") or [{}])[0]
        name = str(action.get("action_id", ""))
        if not name.startswith(BRING):
            return name == NEW or name.startswith(OPEN)  # links: Slack has followed them
        channel, thread, file = [*str(action.get("value", "")).split(":", 2), "", "", ""][:3]
        user: Payload = body.get("user") or {}
        person = Person(str(user.get("id") or ""), workspace=str(user.get("team_id") or ""))
        address = Address("slack", self._workspace.me.team, channel, thread)
        if address in await self._asking.recent(address, person):
            self._bring(Order("download", person, address, file))
        else:
            log.info("slack.file_not_brought", reason="not a thread of this person's", person=person.id)
        return True

    async def _show(self, opened: Opened) -> None:
        try:
            async with asyncio.timeout(WITHIN):
                await self._publish(opened, await self._view(opened))
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            self._workspace.refusals.learn(failure, PUBLISH, "")
            if failure.code == NOT_ENABLED:
                log.warning("slack.home_disabled", mend="give the app the current manifest")
            else:
                log.info("slack.home_not_shown", reason=failure.reason)
        except Exception as error:  # the next opening tries again
            log.error("slack.home_not_shown", error=type(error).__name__)

    async def _publish(self, opened: Opened, view: dict[str, Any]) -> None:
        person, content = opened.person.id, hash(repr(view))
        if opened.hash and self._published.get(person) == (content, opened.hash):
            return
        # With a hash Slack refuses what was overtaken by another process.
        answer = await self._workspace.client.views_publish(user_id=person, view=view, hash=opened.hash or None)
        self._published[person] = content, str((answer.get("view") or {}).get("hash") or "")

    async def _view(self, opened: Opened) -> dict[str, Any]:
        me, person = self._workspace.me, opened.person
        direct = Address("slack", me.team, opened.channel, "")
        if refusal := await self._asking.not_allowed(direct, person):
            return {"type": "home", "blocks": [_mrkdwn(HOW), _plain(refusal)]}
        recent = await self._asking.recent(direct, person)
        newest = list(recent.items())[:THREADS]
        files, links = await asyncio.gather(
            self._files([address for address, _ in newest[:THREADS_WITH_FILES]], person),
            asyncio.gather(*(self._link(address) for address, _ in newest)),
        )
        threads = [Thread(*one, link) for one, link in zip(newest, links, strict=True)]
        blocks = home_blocks(
            threads,
            files,
            self._prompts_at(direct),
            messages_tab(me.team, me.app),
            self._workspace.settings.command,
        )
        return {"type": "home", "blocks": blocks}

    async def _link(self, address: Address) -> str:
        key = (address.channel, address.thread)
        if address.is_flat:  # the link of the channel itself stands beside
            return ""
        if key in self._links or self._workspace.refusals.has(PERMALINK, address.channel):
            return self._links.get(key, "")
        try:
            async with asyncio.timeout(CALL_WITHIN):
                answer = await self._workspace.client.chat_getPermalink(
                    channel=address.channel, message_ts=address.thread
                )
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            self._workspace.refusals.learn(failure, PERMALINK, address.channel)
            log.info("slack.no_link", reason=failure.reason)
            return ""
        link = str(answer.get("permalink") or "")
        if not is_permalink(link):
            return ""
        self._links[key] = link
        return link

    async def _files(self, threads: Sequence[Address], person: Person) -> Sequence[Made]:
        found: dict[Address, Sequence[Listed]] = {}

        async def look(address: Address) -> None:
            found[address] = (await self._asking.files(Order("files", person, address))).files

        looking = [asyncio.create_task(look(one), name="slack.home_files") for one in threads]
        if looking:
            _, late = await asyncio.wait(looking, timeout=FILES_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
        return newest_files(found, threads)


def newest_files(found: Mapping[Address, Sequence[Listed]], threads: Sequence[Address]) -> list[Made]:
    return [Made(one, file) for one in threads for file in reversed(found.get(one, ()))][:FILES]


def is_permalink(link: str) -> bool:
    """Whether it leads to a message on Slack's own host."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    host = parts.hostname or ""
    return parts.scheme == "https" and host.endswith(".slack.com") and parts.path.startswith("/archives/")


def messages_tab(team: str, app: str) -> str:
    """Slack's deep link to the app's direct message; "" as long as the app's id isn't known."""
    return f"slack://app?team={team}&id={app}&tab=messages" if app else ""


def home_blocks(
    threads: Sequence[Thread], files: Sequence[Made], prompts: Sequence[Prompt], messages: str, command: str
) -> list[dict[str, Any]]:
    """`messages` leads to the direct message."""
    return [
        _mrkdwn(HOW),
        *(
            [{"type": "actions", "elements": [_link_button(NEW, "New conversation", messages)]}]
            if messages
            else ()
        ),
        _header("Your conversations"),
        *(block for index, one in enumerate(threads) for block in _thread(index, one)),
        *([] if threads else [_context(NO_THREADS)]),
        *([_header("Files made lately")] if files else []),
        *(_file(index, one) for index, one in enumerate(files)),
        *(
            [_header("What you can ask"), _plain("\n".join(f"• {one.title}" for one in prompts))]
            if prompts
            else []
        ),
        _header("Commands"),
        _mrkdwn("\n".join(f"`{command} {one.usage}`  {one.help}." for one in COMMANDS)),
    ]


def _thread(index: int, one: Thread) -> Iterator[dict[str, Any]]:
    section = _plain(title_of(one.question, MAX_QUESTION) or "A question without words")
    if one.link:
        section["accessory"] = _link_button(f"{OPEN}{index}", "Open", one.link)
    yield section
    channel = one.address.channel
    place = f"<#{channel}>" if _CHANNEL.fullmatch(channel) and not channel.startswith("D") else "Direct message"
    began = one.address.thread.partition(".")[0]
    when = f" · begun <!date^{began}^{{date_short_pretty}} at {{time}}|earlier>" if began.isdecimal() else ""
    yield _context(f"{place}{when}")


def _file(index: int, made: Made) -> dict[str, Any]:
    name, address = made.file.name, made.address
    shown = slack_mrkdwn(SLACK.literal(name[:MAX_NAME])) or "…"
    section = _mrkdwn(f"{shown}  {in_words(made.file.size)}".rstrip())
    section["accessory"] = {
        "type": "button",
        "action_id": f"{BRING}{index}",
        "text": {"type": "plain_text", "text": "Get it"},
        "value": f"{address.channel}:{address.thread}:{name}",
    }
    return section


def _link_button(action: str, label: str, url: str) -> dict[str, Any]:
    return {"type": "button", "action_id": action, "text": {"type": "plain_text", "text": label}, "url": url}


def _header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}
