"""What rendering and splitting a streamed reply costs: `python -m tests.bench.bench_render`.

Times are given as multiples of a floor that is measured in the same run: markdown-it-py parsing the same text
once, whole. The replies come in deltas of `DELTA` characters, and the parts are read after each, as a reply does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from markdown_it import MarkdownIt

from bridge.render.discord import DISCORD
from bridge.render.markdown import Renderer
from bridge.render.measure import utf8, utf16
from bridge.render.slack import SLACK
from bridge.render.split import Splitter
from bridge.render.style import Style

SIZE = 1_000_000
DELTA = 20
RUNS = 3

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
    "code": "```\n" + "    line = of(code)\n" * 200 + "```\n\n",
    "stray marks": "[a ` b _ c * d < e ",
}
STYLES = {
    "Discord": Style(DISCORD, 2_000, utf16, 1.0, False, 10, 10_000_000),
    "Slack": Style(SLACK, 11_000, utf8, 1.0, True, 10, 10_000_000),
}


def best(run: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def deliver(text: str, style: Style) -> int:
    renderer, splitter = Renderer(style.dialect), Splitter(style.limit, style.measure)
    for start in range(0, len(text), DELTA):
        certain = renderer.feed(text[start : start + DELTA])
        if certain:
            splitter.feed(certain)
        len(splitter.parts)
    splitter.feed(renderer.finish())
    splitter.finish()
    return len(splitter.parts)


def main() -> None:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    print(f"{'text':12} {'platform':9} {'floor s':>8} {'times':>6} {'twice the text':>15}")
    for name, piece in TEXTS.items():
        text = (piece * (SIZE // len(piece) + 1))[:SIZE]
        floor = best(lambda text=text: parser.parse(text))  # type: ignore[misc]
        for platform, style in STYLES.items():
            whole = best(lambda text=text, style=style: deliver(text, style))  # type: ignore[misc]
            half = best(lambda text=text, style=style: deliver(text[: SIZE // 2], style))  # type: ignore[misc]
            print(f"{name:12} {platform:9} {floor:8.2f} {whole / floor:6.1f} {whole / half:15.2f}")


if __name__ == "__main__":
    main()
