"""An agent's steps as Slack's task cards: a plan block in a message, chunks in a stream. No I/O.

In a stream a card can't be taken away again, its title and state are replaced, and its details and output only grow. So
each is told once: the details while the step runs, the output when it has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.base import Source, Step, StepState
from bridge.frontends.slack.blocks import outgoing
from bridge.render.measure import utf8
from bridge.render.slack import SLACK
from bridge.turns.surface import Progress

CARD_BYTES = 1_500  # of a part's cards in all, so that they and a part's text fit into a message together
MORE_BYTES = 140  # of them for the card that stands for the rest
MAX_CARDS = 50  # tasks of one plan, Slack's limit
MAX_FIELD = 250  # characters; Slack takes 256 of a title, details or output
MORE = "+more"  # id of that card; no step has it

STATES = {
    StepState.PENDING: "pending",
    StepState.RUNNING: "in_progress",
    StepState.DONE: "complete",
    StepState.FAILED: "error",
}
ENDED = (StepState.DONE, StepState.FAILED)


@dataclass(frozen=True, slots=True)
class Card:
    id: str
    title: str
    status: str
    details: str = ""
    output: str = ""
    sources: tuple[Source, ...] = ()

    @property
    def size(self) -> int:
        return utf8(self.title + self.details + self.output) + sum(map(_size, self.sources))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a part shows of the steps, or is to show."""

    title: str = ""
    cards: tuple[Card, ...] = ()

    def then(self, progress: Progress) -> Plan:
        """What it shows next: what is there stays, and what is new is added while there is room."""
        if not progress.steps:
            return self
        known = {card.id: card for card in self.cards}
        room = CARD_BYTES - MORE_BYTES - sum(card.size for card in self.cards if card.id != MORE)
        cards: list[Card] = []
        left: list[Step] = []
        for step in progress.steps:
            before = known.get(step.id)
            card = Card(step.id, _plain(step.title), STATES[step.state])
            if before is not None:
                card = replace(before, title=card.title, status=card.status)
            elif card.size > room or len(cards) >= MAX_CARDS - 1:
                left.append(step)
                continue
            else:
                room -= card.size
            card, room = _filled(card, step, room)
            cards.append(card)
        if left:
            cards.append(_rest(left))
        return Plan(_plain(progress.phase), tuple(cards))

    def chunks(self, before: Plan) -> list[dict[str, Any]]:
        """What a stream that shows `before` has to be told."""
        chunks: list[dict[str, Any]] = []
        if self.title != before.title:
            chunks.append({"type": "plan_update", "title": self.title})
        known = {card.id: card for card in before.cards}
        chunks += [_chunk(card, known.get(card.id)) for card in self.cards if card != known.get(card.id)]
        return chunks

    def blocks(self) -> list[dict[str, Any]]:
        if not self.cards:
            return []
        return [{"type": "plan", "title": self.title, "tasks": [_task(card) for card in self.cards]}]


NO_PLAN = Plan()


def plan_of(progress: Progress) -> Plan:
    return NO_PLAN.then(progress)


def states(progress: Progress) -> list[dict[str, Any]]:
    """For a stream of which nobody knows what its cards say: how each step ended, and nothing that would be added to
    that."""
    plan = plan_of(progress)
    bare = (replace(card, details="", output="", sources=()) for card in plan.cards)
    return replace(plan, cards=tuple(bare)).chunks(NO_PLAN)


def _filled(card: Card, step: Step, room: int) -> tuple[Card, int]:
    """With what isn't told yet and still fits; the room that is left."""
    detail = _plain(step.detail)
    ended = step.state in ENDED
    if detail and utf8(detail) <= room:
        if ended and not card.output and detail != card.details:
            card, room = replace(card, output=detail), room - utf8(detail)
        elif not ended and not card.details:
            card, room = replace(card, details=detail), room - utf8(detail)
    if step.sources and not card.sources:
        sources = tuple(Source(source.url, _plain(source.title)) for source in step.sources)
        size = sum(map(_size, sources))
        if size <= room:
            card, room = replace(card, sources=sources), room - size
    return card, room


def _rest(left: Sequence[Step]) -> Card:
    running = next((step for step in reversed(left) if step.state is StepState.RUNNING), None)
    title = f"+{len(left)} more"
    if running is not None:
        return Card(MORE, f"{title}: {_plain(running.title)}", STATES[StepState.RUNNING])
    states = {step.state for step in left}
    state = next((one for one in (StepState.PENDING, StepState.FAILED) if one in states), StepState.DONE)
    return Card(MORE, title, STATES[state])


def _chunk(card: Card, before: Card | None) -> dict[str, Any]:
    chunk: dict[str, Any] = {"type": "task_update", "id": card.id, "title": card.title, "status": card.status}
    if card.details and not (before and before.details):
        chunk["details"] = card.details
    if card.output and not (before and before.output):
        chunk["output"] = card.output
    if card.sources and not (before and before.sources):
        chunk["sources"] = _sources(card)
    return chunk


def _task(card: Card) -> dict[str, Any]:
    task: dict[str, Any] = {"type": "task_card", "task_id": card.id, "title": card.title, "status": card.status}
    if card.details:
        task["details"] = _rich(card.details)
    if card.output:
        task["output"] = _rich(card.output)
    if card.sources:
        task["sources"] = _sources(card)
    return task


def _rich(text: str) -> dict[str, Any]:
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    return {"type": "rich_text", "elements": [section]}


def _sources(card: Card) -> list[dict[str, Any]]:
    return [{"type": "url", "url": source.url, "text": source.title} for source in card.sources]


def _plain(text: str) -> str:
    """A line that mentions nobody, wherever Slack takes it for more than plain text."""
    return outgoing(SLACK.escape(text))[:MAX_FIELD]


def _size(source: Source) -> int:
    return utf8(source.url + source.title)
