"""What people ask in a chaos run and what agents answer: each word says whose it is, so that nothing can hide.

A message is `t3m2`, the third of thread 3 counting from 0. Its answer is `t3m2x0 t3m2x1 … t3m2x9end`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.testing.backends.brain import Blob, Plan

WITH_FILE = "with a file"

PARAGRAPH = 40  # words
_QUESTION = re.compile(r"\b(t\d+m\d+)\b")
_COUNT = re.compile(r"\bin (\d+) words\b")
_WRITTEN = re.compile(r"\bt\d+m\d+ in \d+ words please\b")
_NAMED = re.compile(r"(t\d+m\d+)\.txt")
_WORD = re.compile(r"\b(t\d+m\d+)x(\d+)(end)?\b")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of an answer, as it stands in a thread."""

    token: str
    index: int
    last: bool


def token_of(thread: int, index: int) -> str:
    return f"t{thread}m{index}"


def question(token: str, words: int, *, echoed: bool = False, file: bool = False) -> str:
    """What a person writes. An agent that only echoes is given the answer to say."""
    asked = f"{token} in {words} words please{f' {WITH_FILE}' if file else ''}"
    return f"{asked}: {answer(token, words)}" if echoed else asked


def answer(token: str, words: int) -> str:
    said = [f"{token}x{index}{'end' if index == words - 1 else ''}" for index in range(words)]
    return "\n\n".join(" ".join(said[at : at + PARAGRAPH]) for at in range(0, words, PARAGRAPH))


def think(text: str, _uploads: Sequence[Blob] = (), _earlier: Sequence[str] = ()) -> Plan:
    """The agents' brain in a chaos run."""
    asked, count = _QUESTION.search(text), _COUNT.search(text)
    if asked is None or count is None:
        return Plan("I was asked something that nobody wrote.")
    token = asked[1]
    files = (Blob(f"{token}.txt", "text/plain", token.encode()),) if WITH_FILE in text else ()
    return Plan(answer(token, int(count[1])), files)


def whose_file(name: str) -> str | None:
    """The token of the message whose answer a file belongs to."""
    found = _NAMED.fullmatch(name)
    return found[1] if found else None


def asked_in(text: str) -> list[str]:
    """The tokens of the messages in a question that a backend took."""
    return _QUESTION.findall(text)


def words_in(text: str) -> list[Word]:
    return [Word(token, int(index), bool(last)) for token, index, last in _WORD.findall(text)]


def says_more(text: str) -> bool:
    """Whether there is anything in a message of the bot besides what its agents said."""
    rest = _WRITTEN.sub("", _WORD.sub("", text))
    return any(letter.isalpha() for letter in rest)
