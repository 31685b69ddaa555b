"""A long reply with everything in it, through both platforms' styles."""

import random
import re

import pytest

from bridge.render.discord import DISCORD
from bridge.render.markdown import Renderer
from bridge.render.measure import utf16
from bridge.render.slack import SLACK
from bridge.render.split import Part, Splitter
from bridge.render.style import Dialect

SECTION = """\
## Section {n}

Paragraph {n} tells of **important** things, *politely*, with `code_{n}`, a [link {n}](https://example.com/{n}) and
an emoji 👩‍💻. 한국어 문장도 **「강조」**는 이렇게 있고, 日本語の**「引用」**もある。
Ask @everyone or <@{n}>, maybe.

- item {n}.1
  - item {n}.1.1 with __bold__
- [ ] item {n}.2
1. first {n}
2. second {n}

> quoted {n}
> > deeper {n}

```python
def function_{n}(argument):
    # 주석 {n}
    return {{"value": argument * {n}}}


print(function_{n}({n}))
```

| Name | 값 | Note |
|:-----|---:|------|
| row {n}a | {n} | **ok** |
| row {n}b | {n}0 | `x` |

---

#### Detail {n}
Last words of {n}.
"""
REPLY = "".join(SECTION.format(n=number) + "\n" for number in range(1, 46))
CODE = "```sql\n" + "\n".join(f"select {number} from table_{number};" for number in range(400)) + "\n```\n"
TABLE = (
    "| id | text |\n|----|------|\n" + "\n".join(f"| {number} | value {number} |" for number in range(300)) + "\n"
)
REPLY += f"The script:\n\n{CODE}\nThe data:\n\n{TABLE}\nThe end of it."

STYLES = [(DISCORD, 2_000), (SLACK, 11_000)]


def deliver(text: str, dialect: Dialect, limit: int, seed: int) -> list[Part]:
    """As a reply would: in deltas, each part checked at each step."""
    renderer, splitter, chance = Renderer(dialect), Splitter(limit, utf16), random.Random(seed)
    shown = ""
    index = at = 0
    while at < len(text):
        step = chance.randint(1, 200)
        splitter.feed(renderer.feed(text[at : at + step]))
        at += step
        for part in splitter.parts[index:]:
            assert part.text.startswith(shown if part.index == index else "")
            assert utf16(part.text + part.closing) <= limit
        if splitter.parts:
            index, shown = splitter.parts[-1].index, splitter.parts[-1].text
    splitter.feed(renderer.finish())
    splitter.finish()
    return list(splitter.parts)


@pytest.mark.parametrize(("dialect", "limit"), STYLES, ids=["discord", "slack"])
def test_it_arrives_whole(dialect: Dialect, limit: int) -> None:
    assert len(REPLY) > 30_000
    parts = deliver(REPLY, dialect, limit, seed=1)
    assert parts == deliver(REPLY, dialect, limit, seed=2)
    everything = "\n".join(part.text for part in parts)

    for number in range(1, 46):
        for piece in (
            f"Paragraph {number} tells of **important** things",
            f"[link {number}](https://example.com/{number})",
            f"`code_{number}`",
            f"- item {number}.1",
            f"- ☐ item {number}.2",
            f"1. first {number}",
            f"> deeper {number}",
            f"def function_{number}(argument):\n    # 주석 {number}\n    return",
            f"Last words of {number}.",
        ):
            assert piece in everything
    assert re.findall(r"select (\d+) from table_\1;", everything) == [str(number) for number in range(400)]
    cells = r"^(\d+) +\| value \1$" if dialect is DISCORD else r"^\| (\d+) \| value \1 \|$"
    assert re.findall(cells, everything, re.MULTILINE) == [str(number) for number in range(300)]
    assert everything.endswith("The end of it.")
    assert "@everyone" not in everything
    assert not re.search(r"<@\d", everything)


@pytest.mark.parametrize(("dialect", "limit"), STYLES, ids=["discord", "slack"])
def test_each_part_stands_by_itself(dialect: Dialect, limit: int) -> None:
    parts = deliver(REPLY, dialect, limit, seed=3)
    for part in parts:
        lines = part.text.split("\n")
        fences = [line for line in lines if line.startswith("```")]
        assert fences[1::2] == ["```"] * (len(fences) // 2)
        assert len(fences) % 2 == 0
        for above, row in zip(["", *lines], lines, strict=False):
            assert above.startswith("| ") or not row.startswith("| ") or row in HEADERS
        assert not lines[-1].startswith("#")
    assert all(utf16(part.text) > limit * 0.5 for part in parts[:-1])


HEADERS = {"| Name | 값 | Note |", "| id | text |"}
