"""Counts what rendering a text costs, in steps: characters that patterns and string methods look at or copy, and
lines of Python that run. Steps, unlike seconds, are the same on any machine at any load.

Patterns are run a second time, by a small backtracking matcher over the standard library's own parse of them,
which counts each character that is compared, and has to come to the same end as the library.
"""

from __future__ import annotations

import re
import re._constants as sre  # type: ignore[import-not-found]  # the standard library's, without stubs
import re._parser as parser  # type: ignore[import-not-found]
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from types import FrameType, ModuleType
from typing import Any, SupportsIndex

import pytest

from bridge.render.style import Dialect

Next = Callable[[int], int | None]  # matches the rest; gives the end, or None
Fits = Callable[[str], bool]
MOVED_AT_ONCE = 16  # characters of a text that is copied, or searched for one


@dataclass
class Steps:
    patterns: int = 0
    strings: int = 0
    lines: int = 0

    @property
    def total(self) -> int:
        return self.patterns + self.strings // MOVED_AT_ONCE + self.lines


@dataclass(slots=True)
class _Node:
    kind: object
    fits: Fits | None = None  # for what stands for one character
    inner: Sequence[Sequence[_Node]] = ()
    least: int = 0
    most: int = 0
    where: object = None


def _nodes(tree: Iterable[tuple[object, Any]], flags: int) -> list[_Node]:
    return [_node(kind, value, flags) for kind, value in tree]


@cache  # the same patterns are counted for each text
def _parsed(pattern: str, flags: int) -> Sequence[_Node]:
    return _nodes(parser.parse(pattern, flags & ~re.UNICODE), flags)


def _node(kind: object, value: Any, flags: int) -> _Node:
    # Any: the library's parse has no types.
    match kind, value:
        case (sre.LITERAL | sre.NOT_LITERAL, _):
            fits = _character([(sre.LITERAL, value)], kind is sre.NOT_LITERAL, bool(flags & re.IGNORECASE))
            return _Node(kind, fits)
        case sre.IN, list() as items:
            return _Node(kind, _character(items, items[0][0] is sre.NEGATE, bool(flags & re.IGNORECASE)))
        case sre.ANY, _:
            return _Node(kind, (lambda c: True) if flags & re.DOTALL else (lambda c: c != "\n"))
        case (sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT, (least, most, inner)):
            return _Node(kind, inner=[_nodes(inner, flags)], least=int(least), most=int(most))
        case sre.SUBPATTERN, (_, add, drop, inner):
            return _Node(kind, inner=[_nodes(inner, (flags | add) & ~drop)])
        case sre.ATOMIC_GROUP, inner if len(inner) == 1 and inner[0][0] is sre.MAX_REPEAT:
            return _node(sre.POSSESSIVE_REPEAT, inner[0][1], flags)  # the same, and not nested for each turn
        case sre.ATOMIC_GROUP, inner:
            return _Node(kind, inner=[_nodes(inner, flags)])
        case sre.BRANCH, (_, branches):
            return _Node(kind, inner=[_nodes(branch, flags) for branch in branches])
        case (sre.ASSERT | sre.ASSERT_NOT, (direction, inner)):
            back = inner.getwidth()[0] if direction < 0 else 0
            return _Node(kind, inner=[_nodes(inner, flags)], least=back)
        case sre.AT, where:
            return _Node(kind, where=where, most=flags & re.MULTILINE)
    raise AssertionError(f"{kind} {value}")


def repeats_group_possessively(pattern: str) -> bool:
    """Whether a possessive quantifier stands behind more than one character or set of them."""

    def found(tree: Any) -> bool:
        if isinstance(tree, tuple) and len(tree) == 2 and tree[0] is sre.POSSESSIVE_REPEAT:
            *_, inner = tree[1]
            if len(inner) != 1 or inner[0][0] not in (sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY):
                return True
        return isinstance(tree, list | tuple | parser.SubPattern) and any(map(found, tree))

    return found(parser.parse(pattern))


_at = str.__getitem__  # of a text that counts, too: the matcher's looks are counted as the pattern's


def _here(at: int) -> int:
    return at


@dataclass(slots=True)
class _Run:
    """One try of a pattern at a text."""

    text: str
    stop: int
    steps: Steps

    def end(self, nodes: Sequence[_Node], at: int, then: Next, index: int = 0) -> int | None:
        while index < len(nodes):
            node, following = nodes[index], index + 1
            if node.fits is None:
                return self._node(node, at, partial(self._rest, nodes, then, following))
            self.steps.patterns += 1
            if at >= self.stop or not node.fits(_at(self.text, at)):
                return None
            at, index = at + 1, following
        return then(at)

    def _rest(self, nodes: Sequence[_Node], then: Next, index: int, at: int) -> int | None:
        return self.end(nodes, at, then, index)

    def _node(self, node: _Node, at: int, then: Next) -> int | None:
        match node.kind:
            case sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT:
                return self._repeat(node, at, then)
            case sre.ATOMIC_GROUP:
                end = self.end(node.inner[0], at, _here)
                return None if end is None else then(end)
            case sre.SUBPATTERN | sre.BRANCH:
                for branch in node.inner:
                    end = self.end(branch, at, then)
                    if end is not None:
                        return end
                return None
            case sre.ASSERT | sre.ASSERT_NOT:
                found = at >= node.least and self.end(node.inner[0], at - node.least, _here) is not None
                return then(at) if found == (node.kind is sre.ASSERT) else None
        return then(at) if self._stands(node, at) else None

    def _stands(self, node: _Node, at: int) -> bool:
        if node.where in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
            return at == 0 or bool(node.most and _at(self.text, at - 1) == "\n")
        if node.where is sre.AT_END and at < self.stop:
            return _at(self.text, at) == "\n" and bool(node.most or at == self.stop - 1)
        return at == self.stop

    def _repeat(self, node: _Node, at: int, then: Next) -> int | None:
        inner = node.inner[0]
        fits = inner[0].fits if len(inner) == 1 else None
        end, count = at, 0
        if fits is not None and node.kind is not sre.MIN_REPEAT:
            most = min(self.stop, at + node.most)
            while end < most and fits(_at(self.text, end)):
                end += 1
            self.steps.patterns += end - at + 1
            for back in range(end, at + node.least - 1, -1):
                found = then(back)
                if found is not None or node.kind is sre.POSSESSIVE_REPEAT:
                    return found
                self.steps.patterns += 1
            return None
        if fits is not None:
            while (found := then(end) if count >= node.least else None) is None:
                self.steps.patterns += 1
                if count == node.most or end >= self.stop or not fits(_at(self.text, end)):
                    return None
                count, end = count + 1, end + 1
            return found
        if node.kind is sre.POSSESSIVE_REPEAT:
            while count < node.most:
                further = self.end(inner, end, _here)
                if further is None or further == end:
                    break
                count, end = count + 1, further
            return then(end) if count >= node.least else None
        return self._again(node, 0, at, then)

    def _again(self, node: _Node, count: int, at: int, then: Next) -> int | None:
        def once_more() -> int | None:
            if count == node.most:
                return None
            return self.end(
                node.inner[0], at, lambda end: None if end == at else self._again(node, count + 1, end, then)
            )

        if count < node.least:
            return once_more()
        if node.kind is sre.MIN_REPEAT:
            end = then(at)
            return once_more() if end is None else end
        end = once_more()
        return then(at) if end is None else end


_CATEGORIES: dict[object, Callable[[str], bool]] = {
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    sre.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    sre.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
    sre.CATEGORY_DIGIT: str.isdecimal,
    sre.CATEGORY_NOT_DIGIT: lambda c: not c.isdecimal(),
}


def _character(items: Sequence[tuple[object, object]], negated: bool, any_case: bool) -> Fits:
    answers: dict[str, bool] = {}

    def holds(character: str) -> bool:
        for kind, value in items:
            if kind is sre.LITERAL and ord(character) == value:
                return True
            if kind is sre.RANGE and value[0] <= ord(character) <= value[1]:  # type: ignore[index]
                return True
            if kind is sre.CATEGORY and _CATEGORIES[value](character):
                return True
        return False

    def fits(character: str) -> bool:
        if character not in answers:
            forms = {character, character.lower()[:1], character.upper()[:1]} if any_case else {character}
            answers[character] = any(map(holds, forms)) != negated
        return answers[character]

    return fits


class CountingPattern:
    """Stands for a compiled pattern."""

    def __init__(self, pattern: re.Pattern[str], steps: Steps) -> None:
        self._pattern, self._steps = pattern, steps
        self._nodes = _parsed(pattern.pattern, pattern.flags)

    def _end(self, text: str, at: int, stop: int, *, full: bool = False) -> int | None:
        run = _Run(text, stop, self._steps)
        trace = sys.gettrace()
        sys.settrace(None)  # it would be called for each step
        try:
            return run.end(self._nodes, at, lambda end: end if not full or end == stop else None)
        finally:
            sys.settrace(trace)

    def _checked(
        self, found: re.Match[str] | None, text: str, at: int, stop: int, *, full: bool = False
    ) -> re.Match[str] | None:
        stop = min(stop, len(text))
        end = self._end(text, at, stop, full=full)
        assert end == (None if found is None else found.end()), (self._pattern.pattern, text[at:stop])
        return found

    def match(self, text: str, at: int = 0, stop: int = sys.maxsize) -> re.Match[str] | None:
        return self._checked(self._pattern.match(text, at, stop), text, at, stop)

    def fullmatch(self, text: str, at: int = 0, stop: int = sys.maxsize) -> re.Match[str] | None:
        return self._checked(self._pattern.fullmatch(text, at, stop), text, at, stop, full=True)

    def search(self, text: str, at: int = 0, stop: int = sys.maxsize) -> re.Match[str] | None:
        return next(self.finditer(text, at, stop), None)

    def finditer(self, text: str, at: int = 0, stop: int = sys.maxsize) -> Iterator[re.Match[str]]:
        stop = min(stop, len(text))
        for found in self._pattern.finditer(text, at, stop):
            self._search(text, at, found.start(), stop, found.end())
            yield found
            at = max(found.end(), found.start() + 1)
        self._search(text, at, stop + 1, stop, None)

    def _search(self, text: str, at: int, start: int, stop: int, end: int | None) -> None:
        run = _Run(text, stop, self._steps)
        first = self._nodes[0].fits or (lambda character: True)
        trace = sys.gettrace()
        sys.settrace(None)
        try:
            for tried in range(at, start):
                if tried < stop and not first(_at(text, tried)):  # what `end` would find too, and most often
                    self._steps.patterns += 1
                    continue
                assert run.end(self._nodes, tried, _here) is None, (self._pattern.pattern, text[tried:stop])
            if end is not None:
                assert run.end(self._nodes, start, _here) == end
        finally:
            sys.settrace(trace)

    def findall(self, text: str) -> list[str]:
        list(self.finditer(text))
        return self._pattern.findall(text)

    def sub(self, by: str | Callable[[re.Match[str]], str], text: str) -> str:
        list(self.finditer(text))
        return self._pattern.sub(by, text)

    def split(self, text: str) -> list[str]:
        list(self.finditer(text))
        return self._pattern.split(text)


class CountingText(str):
    """A text that counts what is looked at and copied. What is made of it counts too."""

    steps: Steps

    def __new__(cls, text: str, steps: Steps) -> CountingText:
        made = super().__new__(cls, text)
        made.steps = steps
        return made

    def _made(self, text: str) -> CountingText:
        self.steps.strings += len(text) + 1
        return CountingText(text, self.steps)

    def __add__(self, other: str) -> CountingText:
        return self._made(super().__add__(other))

    def __radd__(self, other: str) -> CountingText:
        return self._made(str.__add__(other, self))

    def __getitem__(self, index: SupportsIndex | slice[Any, Any, Any]) -> CountingText:
        return self._made(super().__getitem__(index))

    def find(self, *of: object) -> int:
        found = super().find(*of)  # type: ignore[arg-type]
        start, stop = _bounds(len(self), of)
        self.steps.strings += (stop if found < 0 else found) - start + 1
        return found

    def rfind(self, *of: object) -> int:
        found = super().rfind(*of)  # type: ignore[arg-type]
        start, stop = _bounds(len(self), of)
        self.steps.strings += stop - (start if found < 0 else found) + 1
        return found


def _bounds(length: int, of: tuple[object, ...]) -> tuple[int, int]:
    start, stop, _ = (
        slice(*of[1:3]).indices(length)
        if len(of) > 2
        else slice(of[1] if len(of) > 1 else 0, None).indices(length)
    )
    return start, max(start, stop)


@contextmanager
def counted(
    monkeypatch: pytest.MonkeyPatch, modules: Iterable[ModuleType], *, patterns: bool = True
) -> Iterator[Steps]:
    """Count the steps of everything in these modules while the context lasts. Those of `patterns` take long."""
    steps = Steps()
    files = set()
    with monkeypatch.context() as patch:
        for module in modules:
            files.add(module.__file__)
            for name, value in list(vars(module).items()) if patterns else ():
                _count(patch, module, name, value, steps)

        def trace(frame: FrameType, event: str, argument: object) -> object:
            if frame.f_code.co_filename not in files:
                return None
            steps.lines += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)  # type: ignore[arg-type]
        try:
            yield steps
        finally:
            sys.settrace(before)


def _count(patch: pytest.MonkeyPatch, holder: object, name: str, value: object, steps: Steps) -> None:
    if isinstance(value, re.Pattern):
        patch.setattr(holder, name, CountingPattern(value, steps))
    elif hasattr(value, "_inside") and hasattr(value, "_unfinished"):  # the brackets' patterns
        for inner, pattern in list(vars(value).items()):
            _count(patch, value, inner, pattern, steps)


def counting(dialect: Dialect, steps: Steps) -> Dialect:
    patterns = {name: CountingPattern(getattr(dialect, name), steps) for name in ("mentions", "pings")}
    return replace(dialect, **patterns)  # type: ignore[arg-type]
