"""What became of every message of a chaos run. No I/O: the platforms' threads and the backends' questions in,
findings out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from tests.chaos.words import Word, says_more, whose_file, words_in


class Kind(StrEnum):
    """What can be found. All but the last two break the promise."""

    LOST = "lost"  # never asked, or asked and never answered, without a word about it
    TWICE = "asked twice"  # more often than a person wished
    ORDER = "out of order"
    DOUBLED = "doubled"  # words or a file of a reply stand there twice
    FILE = "without its file"  # the words are whole, without a word about it
    TORN = "torn"  # a reply that isn't whole, without a word about it
    CHANGED = "changed"  # a finished reply was touched again
    GROWING = "still growing"  # at rest a message looks as if more were to come
    STRAY = "stray"  # words in a thread they don't belong to
    TOLD = "failed, and said so"
    LEFT = "left by a person"

    @property
    def breaks(self) -> bool:
        return self not in (Kind.TOLD, Kind.LEFT)


EXPLAINED = (Kind.LOST, Kind.TORN, Kind.FILE)  # by a word of the bot's


@dataclass(frozen=True, slots=True)
class Written:
    """A message of a person, in the order in which it stands in its thread. `late`: the platform delivered it late
    or more than once, so that a later one may have overtaken it. `counted`: its backend counts its questions. `file`:
    its answer comes with one."""

    token: str
    thread: str
    late: bool = False
    counted: bool = True
    file: bool = False


@dataclass(frozen=True, slots=True)
class Press:
    """A person decided. `unanswered`: the messages of the thread that had no whole reply then. `settled`: the
    message shows that it was decided; where it doesn't, the press may have come too late."""

    thread: str
    again: bool
    unanswered: frozenset[str]
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """A message of the bot, as it stands in a thread at rest."""

    text: str
    growing: bool = False
    files: Sequence[str] = ()  # by name


@dataclass(frozen=True, slots=True)
class Changed:
    """A finished reply was touched again. `token` is whose."""

    token: str
    thread: str
    detail: str


@dataclass(frozen=True, slots=True)
class Observed:
    """All that a run saw. `asked` holds the tokens in the order in which backends took them."""

    written: Sequence[Written]
    asked: Sequence[str]
    threads: Mapping[str, Sequence[Standing]]
    presses: Sequence[Press] = ()
    changed: Sequence[Changed] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    thread: str
    token: str
    detail: str = ""


@dataclass(slots=True)
class _Reply:
    """The words of one message's replies in its thread, cut where they begin anew."""

    runs: list[list[Word]] = field(default_factory=list)

    def add(self, word: Word) -> None:
        if word.index == 0 or not self.runs or self.runs[-1][-1].last:
            self.runs.append([])
        self.runs[-1].append(word)

    @property
    def whole(self) -> int:
        return sum(_is_whole(run) for run in self.runs)

    @property
    def partial(self) -> list[list[Word]]:
        return [run for run in self.runs if not _is_whole(run)]


def judge(observed: Observed) -> list[Finding]:
    """Everything worth telling, thread by thread."""
    written = defaultdict(list)
    for message in observed.written:
        written[message.thread].append(message)
    asked = Counter(observed.asked)
    findings = [Finding(Kind.CHANGED, one.thread, one.token, one.detail) for one in observed.changed]
    for thread, messages in written.items():
        standing = observed.threads.get(thread, ())
        presses = [press for press in observed.presses if press.thread == thread]
        findings += _in_thread(messages, standing, presses, asked)
        findings += _order(thread, messages, [one for one in observed.asked if one in _tokens(messages)], presses)
    return findings


def _in_thread(
    messages: Sequence[Written], standing: Sequence[Standing], presses: Sequence[Press], asked: Mapping[str, int]
) -> Iterator[Finding]:
    thread, tokens = messages[0].thread, _tokens(messages)
    replies: defaultdict[str, _Reply] = defaultdict(_Reply)
    for shown in standing:
        for word in words_in(shown.text):
            replies[word.token].add(word)
        if shown.growing:
            yield Finding(Kind.GROWING, thread, "", shown.text[-40:])
    for token in replies.keys() - tokens:
        yield Finding(Kind.STRAY, thread, token)
    # A notice is what the bot says besides the agents' words. Once it was sent again it explains nothing.
    notices = sum(says_more(shown.text) for shown in standing)
    notices -= sum(press.again and press.settled for press in presses)
    files = Counter(whose_file(name) for shown in standing for name in shown.files)
    for message in messages:
        again = sum(press.again and message.token in press.unanswered for press in presses)
        reply = replies[message.token]
        found = list(_of_message(message, reply, asked[message.token], again))
        if message.file and reply.whole:
            found += _of_file(message, files[message.token], again)
        if any(one.kind in EXPLAINED for one in found) and notices > 0:
            notices -= 1
            left = any(not press.again and message.token in press.unanswered for press in presses)
            found = [one for one in found if one.kind not in EXPLAINED]
            found.append(Finding(Kind.LEFT if left else Kind.TOLD, thread, message.token))
        yield from found


def _of_message(message: Written, reply: _Reply, asked: int, again: int) -> Iterator[Finding]:
    token, thread = message.token, message.thread
    if message.counted and asked > 1 + again:
        yield Finding(Kind.TWICE, thread, token, f"{asked} times, {again} of them wished")
    if not reply.runs:
        yield Finding(Kind.LOST, thread, token, "asked, never answered" if asked else "never asked")
        return
    if not reply.whole:
        yield Finding(Kind.TORN, thread, token, _said(reply.runs[-1]))
    elif reply.whole > 1 + again:
        yield Finding(Kind.DOUBLED, thread, token, f"{reply.whole} whole replies")
    elif any(not _is_beginning(run) for run in reply.partial) or len(reply.runs) > 1 + again:
        yield Finding(Kind.DOUBLED, thread, token, f"beside the whole reply {_said(reply.partial[0])}")


def _of_file(message: Written, count: int, again: int) -> Iterator[Finding]:
    if count == 0:
        yield Finding(Kind.FILE, message.thread, message.token)
    elif count > 1 + again:
        yield Finding(Kind.DOUBLED, message.thread, message.token, f"{count} times its file")


def _order(
    thread: str, messages: Sequence[Written], asked: Iterable[str], presses: Sequence[Press]
) -> Iterator[Finding]:
    """Whether the messages were first asked in the order in which they were written."""
    at = {message.token: index for index, message in enumerate(messages)}
    excused = {message.token for message in messages if message.late}
    excused |= {token for press in presses if press.again for token in press.unanswered}
    firsts = [token for token in dict.fromkeys(asked) if token not in excused]
    for earlier, later in pairwise(firsts):
        if at[earlier] > at[later]:
            yield Finding(Kind.ORDER, thread, later, f"asked after {earlier}")


def _tokens(messages: Sequence[Written]) -> set[str]:
    return {message.token for message in messages}


def _is_beginning(run: Sequence[Word]) -> bool:
    return all(word.index == index for index, word in enumerate(run))


def _is_whole(run: Sequence[Word]) -> bool:
    return _is_beginning(run) and run[-1].last


def _said(run: Sequence[Word]) -> str:
    return f"{len(run)} words, from {run[0].index} to {run[-1].index}"
