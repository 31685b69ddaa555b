"""Reads what an A2A agent sends of a task: as a stream of updates, or as the task as it stands. No I/O."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from a2a.types import (
    Artifact,
    Message,
    Part,
    Role,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
)
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

from adapters.a2a.extension import approval_in, chart_of, choices_in, sources_in, step_in
from adapters.base import (
    MAX_TABLE_ROWS,
    Chart,
    Checkpoint,
    Done,
    Event,
    File,
    InputRequest,
    ProtocolError,
    Rejected,
    RunFailed,
    Scalar,
    Source,
    Status,
    Step,
    StepState,
    Table,
    Text,
)
from adapters.speech import Speech, spoken
from adapters.steps import MAX_STEP_TITLE, Steps, sources_of
from adapters.text import one_line, safe_name

MAX_LABEL = 80  # characters of what the agent says it is doing
NEEDS_MORE = "The agent needs more from you to go on."

_WORKING = {TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING}
_ASKING = {TaskState.TASK_STATE_INPUT_REQUIRED, TaskState.TASK_STATE_AUTH_REQUIRED}
_FAILED = {TaskState.TASK_STATE_FAILED, TaskState.TASK_STATE_REJECTED}
_OVER = {TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_CANCELED, *_FAILED}


class Reader:
    """One turn. `asked` is the id of its message. Where it answers a task's question, `seen` is how many artifacts
    the task had before and `answered` the mark of that question. `trusts` says which addresses files are fetched
    from; others become links."""

    def __init__(
        self,
        conversation: str | None,
        task_id: str | None = None,
        *,
        asked: str = "",
        seen: int = 0,
        answered: str = "",
        trusts: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.conversation = conversation
        self.task_id = task_id
        self.seen = seen
        self.answered = answered
        self._asked = asked
        self.updates = 0
        self.ended = False  # a stream came to its own end
        self.stands = False  # the task still asks what was answered
        self._over = False
        self._trusts = trusts
        self._named = False
        self._status = TaskStatus()
        self._artifacts: dict[str, Artifact] = {}
        self._current = ""  # the artifact that was said last
        self._closing: Message | None = None  # said beside the artifacts, at the end
        self._steps = Steps()
        self._doing = ""  # the step that the task's status names
        self._speech = Speech()

    def is_over(self) -> bool:
        """Whether nothing follows, or nothing until the person has answered."""
        return self._over

    def ask_again(self) -> None:
        """Take it that the task asks once more what was answered."""
        self._over = self._over or self.stands

    def feed(self, sent: StreamResponse) -> Iterator[Event]:
        """What one element of a stream means."""
        self.updates += 1
        match sent.WhichOneof("payload"):
            case "task":
                yield from self.look(sent.task)
            case "message":
                self.conversation = sent.message.context_id or self.conversation
                self._closing, self._over = sent.message, True
                yield Checkpoint(self.conversation, {"step": "asked", "message": self._asked})
            case "status_update":
                yield from self._name(sent.status_update.context_id, sent.status_update.task_id)
                yield from self._stand(sent.status_update.status)
            case "artifact_update":
                yield from self._name(sent.artifact_update.context_id, sent.artifact_update.task_id)
                yield from self._grow(sent.artifact_update)
            case _:  # a newer kind of update
                return

    def look(self, task: Task) -> Iterator[Event]:
        """Take in the task as it stands."""
        yield from self._name(task.context_id, task.id)
        yield from self._recall(task)
        self._artifacts = {artifact.artifact_id: artifact for artifact in list(task.artifacts)[self.seen :]}
        self._current = next(reversed(self._artifacts), "")
        for artifact in self._artifacts.values():
            yield from self._own_step(artifact)
        yield from self._catch_up(spoken(map(text_of_artifact, self._artifacts.values()), complete=False))
        yield from self._stand(task.status)
        if not self._artifacts and task.history and task.history[-1].role == Role.ROLE_AGENT and not self.stands:
            self._closing = task.history[-1]

    def rest(self) -> Iterator[Event]:
        """All that follows once `is_over`. Raises what made the task fail."""
        state = self._status.state
        yield from self._steps.end(StepState.FAILED if state in _FAILED else StepState.DONE)
        if state in _FAILED:
            words = one_line(text_of(self._status.message.parts))
            error = RunFailed if state == TaskState.TASK_STATE_FAILED else Rejected
            raise error(f"a2a: the task ended as {TaskState.Name(state)}: {words}")
        blocks = [text_of_artifact(artifact) for artifact in self._artifacts.values()]
        closing = self._closing_text(state)
        if closing and closing not in blocks:
            blocks.append(closing)
        blocks += [f"[{file.name}]({url})" for file, url in self._made() if url and not self._trusts(url)]
        whole = spoken(blocks, complete=True)
        yield from self._catch_up(whole)
        if state in _ASKING:
            yield self._waiting()
            words = text_of(self._status.message.parts)
            yield approval_in(self._status.message, words) or InputRequest(
                words or NEEDS_MORE, choices_in(self._status.message)
            )
            return
        for artifact in self._artifacts.values():
            yield from tables_of(artifact)
            yield from charts_of(artifact)
        yield from (file for file, url in self._made() if not url or self._trusts(url))
        yield Done(text=None if self._speech is whole else whole.said, sources=self._sources())

    def _sources(self) -> tuple[Source, ...]:
        told: list[Message | Artifact] = [*self._artifacts.values(), self._status.message]
        if self._closing is not None:
            told.append(self._closing)
        return sources_of(source for one in told for source in sources_in(one))

    def _waiting(self) -> Checkpoint:
        seen = self.seen + len(self._artifacts)
        data = {"task": self.task_id, "seen": seen, "before": self.seen, "asked": self._asked}
        return Checkpoint(self.conversation, {"step": "waiting", **data, "question": _mark(self._status)})

    def _name(self, context_id: str, task_id: str) -> Iterator[Event]:
        if not task_id:
            raise ProtocolError("a2a: a task without an id")
        if not self._named or self.task_id != task_id:
            self._named, self.task_id = True, task_id
            self.conversation = context_id or self.conversation
            data: dict[str, Scalar] = {"task": task_id, "seen": self.seen, "answered": self.answered}
            yield Checkpoint(self.conversation, {"step": "task", **data})

    def _stand(self, status: TaskStatus) -> Iterator[Event]:
        before, self._status = self._status, status
        asks = status.state in _ASKING
        self.stands = asks and _mark(status) == self.answered  # as a server stored it before it had the answer
        self._over = status.state in _OVER or (asks and not self.stands)
        if status.state in _WORKING and status.HasField("message"):
            yield from self._work(status.message, one_line(_words(before.message), MAX_LABEL))
        elif not self.stands:
            yield from self._steps.move(self._doing, StepState.DONE)

    def _work(self, told: Message, before: str) -> Iterator[Event]:
        """What a working task says of itself: a short line is a step, which ends with the next one; more than that
        is no name of a step."""
        if step_in(told):
            yield from self._own_step(told)
            return
        label = one_line(_words(told), MAX_LABEL)
        if not is_short(told):
            if label and label != before:
                yield Status(label)
            return
        step = _said_step(told)
        if step.id != self._doing:
            yield from self._steps.move(self._doing, StepState.DONE)
        self._doing = step.id
        yield from self._steps.tell(step)

    def _own_step(self, told: Message | Artifact) -> Iterator[Event]:
        if step := step_in(told):
            yield from self._steps.tell(step)

    def _recall(self, task: Task) -> Iterator[Event]:
        """The steps that the task has behind it: what it said since the last message of a person."""
        if self.answered and task.status.state in _ASKING and _mark(task.status) == self.answered:
            return  # as it was stored before the answer
        asked = max((n for n, said in enumerate(task.history) if said.role == Role.ROLE_USER), default=-1)
        for told in list(task.history)[asked + 1 :]:
            if step_in(told):
                yield from self._own_step(told)
            elif is_short(told) and told.message_id != task.status.message.message_id:
                step = _said_step(told, StepState.DONE)
                if (
                    step.id == self._doing
                    and task.status.state in _WORKING
                    and not task.status.HasField("message")
                ):
                    continue  # still at it
                yield from self._steps.tell(step)

    def _grow(self, update: TaskArtifactUpdateEvent) -> Iterator[Event]:
        """What can't be said at once, since it isn't the end of what was said, is left to `rest`."""
        artifact_id = update.artifact.artifact_id
        held = self._artifacts.get(artifact_id)
        shown = ""
        yield from self._own_step(update.artifact)
        if held is None:
            self._artifacts[artifact_id] = Artifact()
            self._artifacts[artifact_id].CopyFrom(update.artifact)
            self._current = artifact_id
            shown = self._speech.begin() + self._speech.add(text_of(update.artifact.parts))
        elif update.append:
            held.parts.extend(update.artifact.parts)
            held.metadata.update(update.artifact.metadata)
            if artifact_id == self._current:
                shown = self._speech.add(text_of(update.artifact.parts))
        else:
            held.CopyFrom(update.artifact)
        if shown:
            yield Text(shown)

    def _catch_up(self, speech: Speech) -> Iterator[Event]:
        said, known = speech.said, self._speech.said
        if said.startswith(known):
            self._speech = speech
            if said != known:
                yield Text(said[len(known) :])

    def _made(self) -> Iterator[tuple[File, str]]:
        for artifact in self._artifacts.values():
            yield from files_in(self.task_id or "", artifact)

    def _closing_text(self, state: int) -> str:
        if state == TaskState.TASK_STATE_COMPLETED and self._status.HasField("message"):
            return text_of(self._status.message.parts)
        if self._closing is None or state in _ASKING:  # there it was but a status
            return ""
        return text_of(self._closing.parts)


def is_short(told: Message) -> bool:
    """Whether a message is a line that may name a step."""
    words = _words(told).strip()
    return bool(words) and "\n" not in words and len(words) <= MAX_STEP_TITLE


def _said_step(told: Message, state: StepState = StepState.RUNNING) -> Step:
    words = _words(told)
    return Step(f"said-{told.message_id or sha256(words.encode()).hexdigest()[:16]}", words, state)


def _words(told: Message) -> str:
    """Its text alone: data in a status is no word for people."""
    return "".join(part.text for part in told.parts if part.WhichOneof("content") == "text")


def _mark(status: TaskStatus) -> str:
    """The same for the same question of a task, and another for any other."""
    told = status.message
    words = told.message_id or f"{status.timestamp.ToNanoseconds()} {text_of(told.parts)}"
    return sha256(f"{status.state} {words}".encode()).hexdigest()[:16]


# --- parts ----------------------------------------------------------------------------------------------------


def text_of(parts: Iterable[Part]) -> str:
    """The text in these parts, and as a code block what data is no table."""
    texts: list[str] = []
    for part in parts:
        match part.WhichOneof("content"):
            case "text":
                texts.append(part.text)
            case "data" if _table(part) is None and chart_of("", _data(part)) is None:
                texts.append(
                    f"\n```json\n{json.dumps(_data(part), ensure_ascii=False, indent=2, sort_keys=True)}\n```\n"
                )
            case _:
                pass
    return "".join(texts)


def text_of_artifact(artifact: Artifact) -> str:
    return text_of(artifact.parts)


def said_in(task: Task) -> str:
    """What the agent answered by this task."""
    blocks = [text_of_artifact(artifact) for artifact in task.artifacts]
    closing = text_of(task.status.message.parts)
    return spoken(blocks if not closing or closing in blocks else [*blocks, closing], complete=True).said


def files_in(task_id: str, artifact: Artifact) -> Iterator[tuple[File, str]]:
    """The files of an artifact, each with its address where it doesn't lie in the task itself. A `ref` leads from
    the task to the part."""
    for index, part in enumerate(artifact.parts):
        if part.WhichOneof("content") not in {"raw", "url"}:
            continue
        media_type = part.media_type or "application/octet-stream"
        name = part.filename or (artifact.name or "file") + (mimetypes.guess_extension(media_type) or "")
        ref = "/".join(quote(piece, safe="") for piece in (task_id, artifact.artifact_id, str(index)))
        size = len(part.raw) if part.WhichOneof("content") == "raw" else None
        yield File(safe_name(name), ref, media_type, size), part.url


def tables_of(artifact: Artifact) -> Iterator[Table]:
    for part in artifact.parts:
        if part.WhichOneof("content") == "data" and (found := _table(part)):
            columns, rows = found
            name = artifact.name or part.filename or "table"
            yield Table(name, columns, tuple(rows[:MAX_TABLE_ROWS]), truncated=len(rows) > MAX_TABLE_ROWS)


def charts_of(artifact: Artifact) -> Iterator[Chart]:
    for part in artifact.parts:
        name = artifact.name or part.filename or "chart"
        if part.WhichOneof("content") == "data" and (found := chart_of(name, _data(part))):
            yield found


def _table(part: Part) -> tuple[tuple[str, ...], list[tuple[Scalar, ...]]] | None:
    """Data that is a table: a list of records, or an object of `columns` and `rows`."""
    data = _data(part)
    if isinstance(data, dict) and len(data) == 1:  # a list can't stand alone in older versions
        (data,) = data.values() if isinstance(next(iter(data.values())), list) else (data,)
    match data:
        case {"columns": [*columns], "rows": [*rows]} if all(isinstance(row, list) for row in rows):
            width = len(columns)
            cells = [tuple(_scalar(cell) for cell in [*row, *[None] * width][:width]) for row in rows]
            return (tuple(map(str, columns)), cells) if columns and rows else None
        case [*records] if records and all(isinstance(record, dict) and record for record in records):
            columns = sorted({key for record in records for key in record})  # objects come without their order
            return tuple(columns), [tuple(_scalar(record.get(key)) for key in columns) for record in records]
        case _:
            return None


def _data(part: Part) -> Any:
    """The data of a part; numbers without a fraction as integers, which protobuf's values don't have."""
    return json.loads(json.dumps(MessageToDict(part.data)), parse_float=_number)


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _scalar(value: Any) -> Scalar:
    return value if isinstance(value, Scalar) else json.dumps(value, ensure_ascii=False)
