"""What rendering and splitting a reply costs: `python -m tests.bench.bench_render [--json]`.

CPU times, and as multiples of a floor that is measured in the same run: markdown-it-py parsing the same text once,
whole. The parts are read after each delta, which is more often than a reply reads them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from markdown_it import MarkdownIt

from bridge.render.discord import DISCORD
from bridge.render.markdown import Renderer
from bridge.render.measure import utf8, utf16
from bridge.render.slack import SLACK
from bridge.render.split import Splitter
from bridge.render.style import Style

WORDS = 200
LONG = 100_000  # characters; the most that a reply shows as messages
SECONDS = 0.5  # that each line of the table is tried for, at least twice

MIXED = """\
## Findings

The **service** answers in `12 ms` at the median; see [the report](https://example.com/report?id=1) for more.
한국어로 된 **「문장」**이 이어지고, 日本語の文章も続く。 And an emoji 👩‍💻 or two 🎉.

- first point, with *emphasis*
  - a detail
- [x] second point

```python
def answer(question: str) -> str:
    return question.upper()
```

| Name | Value |
|------|------:|
| one | 1 |
| two | 2 |

> A quote to end with.

"""
TEXTS = {
    "mixed": MIXED,
    "prose": "Plain words go on and on, with few marks of any kind in between them. " * 20 + "\n\n",
    "one line": "word **bold** and `code` and [a link](https://a.b) ",
    "Korean": "한국어로만 된 문장이 계속해서 이어진다. 띄어쓰기도 있다.\n\n",
    "Chinese": "这是一个没有空格的句子，它继续下去，直到最后。然后又开始另一个句子。\n\n",
    "code": "```\n" + "    line = of(code)\n" * 200 + "```\n\n",
    "stray marks": "[a ` b _ c * d < e ",
}
STYLES = {
    "Discord": Style(DISCORD, 2_000, utf16, 1.0, False, 10, 10_000_000),
    "Slack": Style(SLACK, 11_000, utf8, 1.0, True, 10, 10_000_000),
}


@dataclass
class Result:
    text: str
    platform: str
    deltas: int
    characters: int
    milliseconds: float
    floor: float  # milliseconds of one parse by markdown-it-py

    @property
    def ratio(self) -> float:
        return self.milliseconds / self.floor


def best(run: Callable[[], object]) -> float:
    """Milliseconds of CPU that a run takes at best."""
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 2 or time.perf_counter() - begun < SECONDS:
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times) * 1_000


def deliver(deltas: list[str], style: Style) -> int:
    renderer, splitter = Renderer(style.dialect), Splitter(style.limit, style.measure)
    for delta in deltas:
        splitter.feed(renderer.feed(delta))
        len(splitter.parts)
    splitter.feed(renderer.finish())
    splitter.finish()
    return len(splitter.parts)


def cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def cases() -> dict[str, list[list[str]]]:
    """Texts, each with the ways it comes in deltas."""
    prose = "The answer is plain: most words have no marks, and then a sentence ends. "
    marked = "The **service** answers in `12 ms`; see [the report](https://example.com/report?id=1) for more. "
    found = {}
    for name, piece in ((f"{WORDS} plain words", prose), (f"{WORDS} marked words", marked)):
        words = (piece * WORDS).split()[:WORDS]
        found[name] = [[f"{word} " for word in words], cut(" ".join(words), len(" ".join(words)) // 4 + 1)]
    for name, piece in TEXTS.items():
        text = (piece * (LONG // len(piece) + 1))[:LONG]
        found[f"{LONG:,} of {name}"] = [cut(text, 20), cut(text, 2_000), [text]]
    return found


def measured() -> list[Result]:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    results = []
    for name, ways in cases().items():
        text = "".join(ways[0])
        floor = best(lambda text=text: parser.parse(text))  # type: ignore[misc]
        for deltas in ways:
            for platform, style in STYLES.items():
                taken = best(lambda deltas=deltas, style=style: deliver(deltas, style))  # type: ignore[misc]
                results.append(Result(name, platform, len(deltas), len(text), taken, floor))
    return results


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true", help="print one JSON object")
    options = arguments.parse_args()
    results = measured()
    if options.json:
        print(json.dumps([{**asdict(result), "ratio": round(result.ratio, 2)} for result in results], indent=1))
        return
    print(f"{'text':26} {'platform':9} {'deltas':>6} {'ms':>8} {'floor':>8} {'times':>6}")
    for result in results:
        numbers = f"{result.deltas:6} {result.milliseconds:8.2f} {result.floor:8.2f} {result.ratio:6.2f}"
        print(f"{result.text:26} {result.platform:9} {numbers}")


if __name__ == "__main__":
    main()
