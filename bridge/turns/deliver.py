"""Brings a stored reply into its thread: text, files, tables, what the agent asks back, the bridge's own sentences."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from adapters.base import AgentError, Files
from adapters.text import safe_name
from bridge.inbound import position
from bridge.lifecycle import ENDINGS, Event, Outcome
from bridge.render.footnotes import footnotes, linked
from bridge.store.engine import Fenced, persist
from bridge.store.values import ArtifactRecord, Asked, Conclusion
from bridge.turns import requests
from bridge.turns.ask import STOPPED
from bridge.turns.links import Linked
from bridge.turns.reply import Reply
from bridge.turns.showing import bring_data
from bridge.turns.steps import Ending
from bridge.turns.surface import Button, PartKey, PartKind, SurfaceError, Upload
from bridge.turns.under_reply import buttons_under
from bridge.turns.work import Work

DOWNLOAD_SECONDS = 900.0  # one file from the agent
BESIDE_LINKS = 300  # of a part's room, for the words around links. `download` gives those that have none

MAIN_NOTICE, _, MISSING_FILES = range(3)  # notices of one reply; the one between says what couldn't be read

log = structlog.get_logger()


class _TooLarge(Exception):
    """A file that the agent made is larger than the platform takes."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """How the turn ends, and what its thread has to remember of it."""

    event: Event
    outcome: Outcome
    detail: str = ""
    shown_at: int | None = None  # position of the message that shows what is waited for


async def deliver(work: Work, reply: Reply, conclusion: Conclusion) -> Delivered:
    """Every part stands in the thread when this returns, or the platform refuses the reply for good."""
    try:
        return await _Delivery(work, reply, conclusion).run()
    except SurfaceError as error:
        return await undeliverable(work, f"{type(error).__name__}: {error}")


async def undeliverable(work: Work, reason: str) -> Delivered:
    """The reply stays stored, and can be delivered again by a person's word."""
    log.error("reply can't be delivered", reason=reason)
    if work.turn.spoken is not None:  # nobody waits for it here; whoever had it said can ask what became of it
        return Delivered(Event.REFUSED, Outcome.UNDELIVERABLE, reason)
    said = await work.surface.say_undeliverable(
        work.turn.message_id, "I have an answer, but this place doesn't let me post it."
    )
    return Delivered(Event.REFUSED, Outcome.UNDELIVERABLE, f"{reason}; {'told' if said else 'not told'}")


class _Delivery:
    def __init__(self, work: Work, reply: Reply, conclusion: Conclusion) -> None:
        self._work = work
        self._reply = reply
        self._conclusion = conclusion
        self._turn = work.turn.id

    async def run(self) -> Delivered:
        conclusion, reply = self._conclusion, self._reply
        reply.settle(Ending.of(conclusion.outcome))
        if _knows_nothing(conclusion):
            await reply.close()
        else:
            below = footnotes(conclusion.sources, self._work.surface.style.dialect)
            await reply.finish(linked(conclusion.answer, conclusion.sources), below, await self._under())
        await self._bring_files()
        if reply.curtailed and conclusion.outcome is Outcome.ANSWERED:
            await reply.notice(MAIN_NOTICE, STOPPED)
            return Delivered(Event.DELIVERED, Outcome.STOPPED, conclusion.detail)
        shown_at = None
        if conclusion.request is not None:
            shown_at = await self._ask_back(conclusion.request)
        if conclusion.notice:  # last: its buttons count from the end of the turn on
            await reply.notice(MAIN_NOTICE, conclusion.notice, self._buttons())
            if conclusion.outcome is Outcome.UNCERTAIN and reply.last_part is not None:
                shown_at = _position(reply.last_part)
        return Delivered(Event.DELIVERED, conclusion.outcome, conclusion.detail, shown_at)

    async def _under(self) -> tuple[Button, ...]:
        """The buttons of an answer."""
        work, outcome = self._work, self._conclusion.outcome
        if not work.under_reply or outcome is not Outcome.ANSWERED:
            return ()
        answers = (
            work.outlook.waiting is not None
        )  # what the agent asked back, if it isn't stored with the turn yet
        wanted = tuple(one for one in work.under_reply if one != "again" or not answers)
        turn = replace(work.turn, outcome=outcome)
        return buttons_under(turn, wanted, files=bool(await self._artifacts()))

    def _buttons(self) -> tuple[Button, ...]:
        outcome = self._conclusion.outcome
        if outcome is Outcome.UNCERTAIN:
            return (Button("retry", "Send it again", self._turn), Button("abandon", "Leave it", self._turn))
        if ENDINGS[outcome].offered:
            return (Button("retry", "Try again", self._turn),)
        return ()

    async def _ask_back(self, request: Asked) -> int | None:
        """What the agent asks, in messages of its own below the answer."""
        style = self._work.surface.style
        texts = requests.messages(request, style)
        for index, text in enumerate(texts):
            buttons = requests.buttons(request, style, self._turn) if index == len(texts) - 1 else ()
            await self._reply.message(PartKey(self._turn, PartKind.REQUEST, index), text, buttons)
        return None if self._reply.last_part is None else _position(self._reply.last_part)

    # --- files ----------------------------------------------------------------------------------------------

    async def _bring_files(self) -> None:
        if self._reply.overflowed and not self._reply.curtailed:
            await self._whole_answer()
        style = self._work.surface.style
        refused: list[str] = []
        linked: list[str] = []
        artifacts = await self._artifacts()
        for artifact in artifacts:
            if self._reply.curtailed:
                continue
            try:
                if not await self._brought(artifact, artifacts):
                    refused.append(artifact.name)
            except _TooLarge:
                log.warning("file too large for the platform", artifact=artifact.index)
                link = await self._link(artifact)  # everyone who sees the thread may have its files
                if link is None or style.measure("".join([*linked, link])) > style.limit - BESIDE_LINKS:
                    refused.append(artifact.name)
                else:
                    linked.append(link)
        lines = ["Too large for this platform:", *(f"- {link}" for link in linked)] if linked else []
        if refused:
            lines.append(f"\nThese could not be brought here: {', '.join(refused)}.")
        if lines:
            await self._reply.notice(MISSING_FILES, "\n".join(lines).lstrip())

    async def _link(self, artifact: ArtifactRecord) -> str | None:
        work = self._work
        outlook = await work.hold.look()
        if work.links is None or outlook.conversation is None:
            return None
        person = f"{work.hold.claim.address.platform}:{work.turn.person.id}"
        file = Linked(work.hold.claim.agent, outlook.conversation, artifact.ref, safe_name(artifact.name), person)
        return work.links.shown(file)

    async def _whole_answer(self) -> None:
        path = self._work.folder.new(".md")
        await asyncio.to_thread(path.write_text, self._conclusion.answer, encoding="utf-8")
        upload = Upload("answer.md", path, "text/markdown", path.stat().st_size)
        await self._reply.upload(PartKey(self._turn, PartKind.ANSWER), upload)

    async def _artifacts(self) -> tuple[ArtifactRecord, ...]:
        if self._conclusion.artifacts or self._work.turn.answer is None:
            return self._conclusion.artifacts
        return tuple(await persist(lambda: self._work.hold.queue.artifacts(self._turn)))

    async def _brought(self, artifact: ArtifactRecord, others: Sequence[ArtifactRecord]) -> bool:
        """Whether it stands in the thread; a file alone doesn't fail a reply."""
        try:
            if artifact.table is None:
                await self._bring_file(artifact)
            else:
                await bring_data(self._work, self._reply, artifact, self._conclusion.answer, others)
        except (Fenced, _TooLarge):
            raise
        except (AgentError, SurfaceError, TimeoutError) as error:
            log.warning("file left out", artifact=artifact.index, error=type(error).__name__)
            return False
        except Exception:  # an adapter's bug costs the file, not the reply
            log.exception("file left out", artifact=artifact.index)
            return False
        return True

    async def _bring_file(self, artifact: ArtifactRecord) -> None:
        key = PartKey(self._turn, PartKind.FILE, artifact.index)
        if self._reply.has(key):
            return
        name = _with_ending(safe_name(artifact.name), artifact.media_type)
        path = self._work.folder.new()
        if (artifact.size or 0) > self._work.surface.style.max_file_bytes:
            raise _TooLarge
        async with asyncio.timeout(DOWNLOAD_SECONDS):
            await self._download(artifact.ref, path)
        media_type = artifact.media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        await self._reply.upload(key, Upload(name, path, media_type, path.stat().st_size))

    async def _download(self, ref: str, path: Path) -> None:
        agent = self._work.agent
        if not isinstance(agent, Files):
            raise AgentError("the agent yields files but can't give their bytes")
        limit = self._work.surface.style.max_file_bytes
        outlook = await self._work.hold.look()
        size = 0
        with path.open("wb") as out:
            async for chunk in agent.download(outlook.conversation or "", ref):
                size += len(chunk)
                if size > limit:
                    raise _TooLarge
                out.write(chunk)


def _with_ending(name: str, media_type: str) -> str:
    """Platforms show a picture in the thread by its name's ending."""
    if Path(name).suffix or not media_type.startswith("image/"):
        return name
    return f"{name}{mimetypes.guess_extension(media_type.partition(';')[0].strip()) or ''}"


def _knows_nothing(conclusion: Conclusion) -> bool:
    """It failed before a word came, in this attempt: what an earlier one has shown stands."""
    if conclusion.outcome is Outcome.GAVE_UP:
        return True
    whole = (Outcome.ANSWERED, Outcome.STOPPED, Outcome.INPUT_REQUEST, Outcome.APPROVAL)
    return not conclusion.answer and conclusion.outcome not in whole


def _position(message_id: str) -> int | None:
    try:
        return position(message_id)
    except ValueError:  # a platform whose ids don't tell
        return None
