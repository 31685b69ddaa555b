"""Markdown within a line, as far as it is certain: text, emphasis, code, links, mentions.

What has to be held back until more is known is never longer than `HELD` characters. Beyond that a `[` or a
backtick that still waits for its partner is just itself. Each search looks no further than that, and patterns
don't go back over what they have matched, so that the work grows as the text does. A group is repeated in an atomic
one, `(?>(?:…)*)`: Python up to 3.11.4 matches `(?:…)*+` wrongly where the group has alternatives.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from bridge.render.characters import CJK, is_cjk, is_punctuation
from bridge.render.links import names_another
from bridge.render.style import MENTION_HELD, ZERO_WIDTH, Dialect

HELD = 1_000  # characters; a signed link has some hundreds
LOOK_BEHIND = 8  # characters before the place to scan from that must still be there
_UNDERSCORES_HELD = 120  # characters that `_` waits for its partner
_MARKERS_OPEN = 100  # emphasis in one block whose end is waited for
_ENTITY_HELD = 33  # characters of the longest name in HTML, with its `&`

_PLAIN = re.compile(r"(?>(?:[^\\`*_~\[!<@&:]++|:(?=[^/])|!(?=[^\[]))+)")
_SCHEME = re.compile(r"https?$", re.IGNORECASE)
# No IGNORECASE for all of it: to that, an s is one of the characters beyond ASCII, as the long s is.
_ADDRESS = re.compile(rf"://(?>(?:[^\s<>`@\x7f-\U0010ffff]|@(?!(?i:everyone|here|channel))){{0,{HELD}}})")
_BACKTICKS = re.compile(r"`+")
_TWO_BACKTICKS = re.compile(r"`(?=`)")
_UNDERSCORES = re.compile(rf"(?<![\s_\\])_+(?:(?!\w)|(?=[{CJK}]))")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_ENTITY_BEGUN = re.compile(r"&(?:#(?:[0-9]{1,7}|[xX][0-9a-fA-F]{0,6})?|[a-zA-Z][a-zA-Z0-9]{0,31})?")
_IMAGE = re.compile(r"!\[((?>(?:[^\[\]\\]++|\\.)*))\]\([^()]*+\)")
_TARGET = re.compile(r"""\s*+(<[^<>]*+>|\S*+)(?>(?:\s++(?:"[^"]*+"|'[^']*+'))?)\s*+""")
_DATA_IMAGE = re.compile(
    r"!\[((?>(?:[^\[\]\\]|\\.){0,200}))\]\(\s*+data:[\w/+.-]{0,100}+(?>(?:;[\w=-]{0,50}+){0,4}),"
)
_DATA = re.compile(r"[\w+/=%.~-]*+")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")

_PUNCTUATION = frozenset(r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~""")
_MARKUP = frozenset(r"\`*_~[]|#")
_UNSAFE_IN_TARGET = str.maketrans({"(": "%28", ")": "%29", "<": "%3C", ">": "%3E", " ": "%20"})

NEVER, NOT_YET = 0, -1


class _Brackets:
    """Finds the partner of an opening bracket in its line; one more level of brackets may lie between."""

    def __init__(self, opening: str, closing: str) -> None:
        within = rf"(?>(?:[^{opening}{closing}\\\n]++|\\.)*)"
        self._closing = closing[-1]
        self._inside = re.compile(rf"{opening}(?>(?:[^{opening}{closing}\\\n]++|\\.|{opening}{within}{closing})*)")
        self._unfinished = re.compile(rf"(?>(?:{opening}{within})?)\\?")

    def end(self, text: str, at: int, limit: int) -> int:
        """The index after the partner of `text[at]`, or `NEVER`, or `NOT_YET` where that lies beyond `limit`."""
        inside = self._inside.match(text, at, limit)
        if inside is None:
            return NOT_YET if at >= limit else NEVER
        stop = inside.end()
        if stop < limit and text[stop] == self._closing:
            return stop + 1
        unfinished = self._unfinished.match(text, stop, limit)
        return NOT_YET if unfinished is not None and unfinished.end() == limit else NEVER


LABEL = _Brackets(r"\[", r"\]")
PARENTHESES = _Brackets(r"\(", r"\)")


def _run_end(text: str, at: int, stop: int) -> int:
    end = at + 1
    while end < stop and text[end] == text[at]:
        end += 1
    return end


def _code(content: str) -> str:
    """Inline code by one or two backticks, which nothing within ends."""
    if "`" not in content:
        return f"`{content}`"
    return f"`` {_TWO_BACKTICKS.sub(f'`{ZERO_WIDTH}', content)} ``"


class Inline:
    """Renders the inside of one block. Its memory is which emphasis is open."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._open: list[str] = []  # emphasis
        self.in_data = False  # in an image that is written out in the text
        self._bold = False  # all of it is bold already
        self._within: Inline | None = None  # renders labels
        self._scanners: dict[str, Callable[[str, int, int, bool], tuple[str, int]]] = {
            "\\": self._escape,
            "`": self._backticks,
            "*": self._emphasis,
            "~": self._emphasis,
            "_": self._underscores,
            "[": self._link,
            "!": self._image,
            "<": self._mention,
            "@": self._mention,
            "&": self._entity,
            ":": self._address,
        }

    def reset(self) -> None:
        """A new block begins."""
        self._open.clear()

    def whole(self, text: str, *, bold: bool = False) -> str:
        """Render a block of one line that is all there. `bold`: it will stand between `**` and `**`."""
        self.reset()
        self._bold = bold
        rendered, _ = self.scan(text, 0, len(text), True)
        self._bold = False
        return rendered

    def scan(self, text: str, at: int, stop: int, ended: bool) -> tuple[str, int]:
        """Render `text[at:stop]`, all of one line; return the output and how far it got.

        `ended`: the line ends at `stop`. Else more may follow, and what that might change stays unread.
        """
        pieces = []
        while at < stop:
            if self.in_data:
                at = self._skip_data(text, at, stop)
                continue
            plain = _PLAIN.match(text, at, stop)
            if plain is not None:
                pieces.append(plain[0])
                at = plain.end()
                continue
            piece, end = self._scanners[text[at]](text, at, stop, ended)
            if end == at:
                break
            pieces.append(piece)
            at = end
        if ended:
            self.in_data = False
        return "".join(pieces), at

    # Each scanner renders what begins at `at`. It returns `at` as the end where that is not certain yet.

    def _escape(self, text: str, at: int, stop: int, ended: bool) -> tuple[str, int]:
        if at + 1 == stop:
            return "", stop if ended else at  # a hard line break, which the newline is by itself
        escaped = text[at + 1]
        if escaped not in _PUNCTUATION:
            return "\\", at + 1
        return f"\\{escaped}{ZERO_WIDTH}" if escaped in "<@" else f"\\{escaped}", at + 2

    def _backticks(self, text: str, at: int, stop: int, ended: bool) -> tuple[str, int]:
        limit = min(stop, at + HELD)
        certain = ended or stop - at > HELD
        end = _run_end(text, at, limit)
        for closing in _BACKTICKS.finditer(text, end, limit):
            if closing.end() - closing.start() == end - at and (closing.end() < stop or ended):
                content = self._dialect.code(text[end : closing.start()])
                if end - at > 2 or ZERO_WIDTH in content:
                    return _code(content.strip() or " "), closing.end()
                return f"{text[at:end]}{content}{text[at:end]}", closing.end()
        if not certain:
            return "", at
        return "\\`" * (end - at), end  # else one of them and a later one would make code of what is none

    def _emphasis(self, text: str, at: int, stop: int, ended: bool) -> tuple[str, int]:
        end = _run_end(text, at, min(stop, at + HELD))
        if end == stop and not ended and end - at < HELD:
            return "", at
        before = text[at - 1] if at else "\n"
        return self._marker(text[at:end], before, text[end] if end < stop else "\n"), end

    def _marker(self, marker: str, before: str, after: str) -> str:
        if self._bold and marker.startswith("**"):
            marker = marker[2:]
            if not marker:
                return ""
        return self._helped(marker, before, after)

    def _helped(self, marker: str, before: str, after: str) -> str:
        """An emphasis marker. CommonMark doesn't take it for one between a bracket or quotation mark inside and
        a letter outside, which is common where no spaces are written: a zero-width character inside helps."""
        if not before.isspace() and marker in self._open:
            while self._open.pop() != marker:
                pass
            inside, outside = before, after
            helped = f"{ZERO_WIDTH}{marker}"
        elif not after.isspace():
            if len(self._open) < _MARKERS_OPEN:
                self._open.append(marker)
            inside, outside = after, before
            helped = f"{marker}{ZERO_WIDTH}"
        else:
            return marker
        if not (is_cjk(inside) or is_cjk(outside)):
            return marker
        stuck = is_punctuation(inside) and not outside.isspace() and not is_punctuation(outside)
        return helped if stuck else marker

    def _underscores(self, text: str, at: int, stop: int, ended: bool) -> tuple[str, int]:
        """Emphasis by underscores becomes emphasis by asterisks: Discord underlines `__this__`, and of the two
        only an asterisk may stand beside a letter, as it must where no spaces are written."""
        limit = at + _UNDERSCORES_HELD
        end = _run_end(text, at, min(stop, limit))
        if end == stop and not ended and stop < limit:
            return "", at
        before = text[at - 1] if at else "\n"
        opens = end < stop and not text[end].isspace() and not before.isalnum()
        if not opens or end - at > 3:
            return text[at:end], end
        # A run of more than three closes nothing, so it needn't be seen whole.
        for closing in _UNDERSCORES.finditer(text, end, min(stop, limit + 5)):
            if closing.start() >= limit:
                break
            size = closing.end() - closing.start()
            if closing.end() == stop and not ended and size <= 3:
                return "", at
            if size == end - at:
                inner = text[end : closing.start()]
                if "*" in inner or "`" in inner:
                    return text[at:end], end
                stars = "*" * size
                opening = self._marker(stars, before, text[end])
                body, _ = self.scan(text, end, closing.start(), True)
                after = text[closing.end()] if closing.end() < stop else "\n"
                return f"{opening}{body}{self._marker(stars, text[closing.start() - 1], after)}", closing.end()
        return (text[at:end], end) if ended or stop >= limit + 5 else ("", at)

    def _link(self, text: str, at: int, stop: int, ended: bool) -> tuple[str, int]:
        return self._linked("[", text, at, at, stop, ended)

    def _image(self, text: str, at: int, stop: int, ended: bool) -> tuple[str, int]:
        if at + 1 == stop:
            return ("!", stop) if ended else ("", at)
        return self._linked("!", text, at, at + 1, stop, ended) if text[at + 1] == "[" else ("!", at + 1)

    def _linked(self, mark: str, text: str, at: int, opening: int, stop: int, ended: bool) -> tuple[str, int]:
        limit = min(stop, at + HELD)
        middle = LABEL.end(text, opening, limit)
        end = PARENTHESES.end(text, middle, limit) if middle > 0 else middle
        if end > 0:
            target = _TARGET.fullmatch(text, middle + 1, end - 1)
            if target is not None:
                return self._anchor(text[opening + 1 : middle - 1], target[1], mark == "!"), end
        if end == NOT_YET and not ended and stop - at < HELD:
            return "", at
        data = _DATA_IMAGE.match(text, at, limit) if mark == "!" else None
        if data is not None:
            self.in_data = True
            return data[1], data.end()
        return mark, at + 1

    def _skip_data(self, text: str, at: int, stop: int) -> int:
        data = _DATA.match(text, at, stop)
        end = data.end() if data is not None else at
        self.in_data = end == stop
        return end + 1 if end < stop and text[end] == ")" else end

    def _anchor(self, label: str, target: str, image: bool) -> str:
        if self._within is None:
            self._within = Inline(self._dialect)
        target = _ESCAPED.sub(r"\1", target.removeprefix("<").removesuffix(">")).strip()
        label = self._within.whole(_IMAGE.sub(r"\1", label)).strip()
        scheme = target.partition(":")[0].lower()
        if scheme in self._dialect.schemes and not names_another(label, target):
            target = self._dialect.mentions.sub("%40", target.translate(_UNSAFE_IN_TARGET))
            return f"[{label or ('image' if image else target)}]({target})"
        if image and scheme == "data":
            return label
        plain = self._within.whole(target)
        if not label or label == plain:
            return plain
        return f"{label} ({plain})" if plain else label

    def _mention(self, text: str, at: int, stop: int, ended: bool) -> tuple[str, int]:
        if not ended and stop - at < MENTION_HELD:
            return "", at
        return (text[at] + ZERO_WIDTH if self._dialect.mentions.match(text, at, stop) else text[at]), at + 1

    def _entity(self, text: str, at: int, stop: int, ended: bool) -> tuple[str, int]:
        entity = _ENTITY.match(text, at, stop)
        if entity is None:
            begun = _ENTITY_BEGUN.match(text, at, stop)
            waits = begun is not None and begun.end() == stop and not ended and stop - at < _ENTITY_HELD
            return ("", at) if waits else ("&", at + 1)
        meant = html.unescape(entity[0])
        if meant == entity[0] or meant.isalnum():  # a letter written so can only mean to hide a mention
            return html.escape("&") if "&" in self._dialect.entities and meant != entity[0] else "&", at + 1
        return "".join(map(self._literal, meant)), entity.end()

    def _literal(self, character: str) -> str:
        """A character that was written as an entity, so that it wouldn't be taken for markup."""
        if character in self._dialect.entities:
            return html.escape(character, quote=False)
        if character in "<@/:!":
            return f"{ZERO_WIDTH}{character}{ZERO_WIDTH}"
        if character in _MARKUP:
            return f"\\{character}"
        return " " if character.isspace() and character != "\u00a0" else character

    def _address(self, text: str, at: int, stop: int, ended: bool) -> tuple[str, int]:
        """After `https` the rest of an address, in which nothing is markup."""
        if _SCHEME.search(text, max(0, at - LOOK_BEHIND), at) is None:
            return ":", at + 1
        address = _ADDRESS.match(text, at, stop)
        if address is None:
            waits = not ended and "://".startswith(text[at:stop])
            return ("", at) if waits else (":", at + 1)
        end = address.end()
        reach = end + MENTION_HELD if end - at > HELD else end + 1
        return ("", at) if stop < reach and not ended else (address[0], end)
