"""Questions at the terminal. Each raises `typer.Abort` where the answers end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
import typer

from bridge.findings import Finding
from bridge.printable import printable


def ask(question: str, default: str = "", *, hidden: bool = False) -> str:
    """The answer without white space around it. A hidden one isn't shown while it is typed."""
    while True:
        if not hidden:
            answer = str(typer.prompt(question, default=default, show_default=bool(default)))
        elif sys.stdin.isatty():
            answer = str(typer.prompt(question, default="", show_default=False, hide_input=True))
        else:  # a hidden prompt would look for a terminal elsewhere
            typer.echo(f"{question}: ")
            answer = sys.stdin.readline()
            if not answer:
                raise typer.Abort
        if _is_text(answer):
            return answer.strip()
        typer.echo("That isn't text in this terminal's encoding.")


def choose(question: str, options: Sequence[str], default: str) -> str:
    while (answer := ask(f"{question} ({', '.join(options)})", default)) not in options:
        typer.echo(f"{answer!r} is none of them.")
    return answer


def show(findings: Sequence[Finding]) -> None:
    for finding in findings:
        typer.echo(f"  {printable(str(finding))}")


@contextmanager
def no_log() -> Iterator[None]:
    """What goes wrong is a finding, and no line of the log between the questions."""
    before, ours = logging.root.manager.disable, structlog.get_config()
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**ours)
        logging.disable(before)


def _is_text(answer: str) -> bool:
    try:
        answer.encode()
    except UnicodeEncodeError:
        return False
    return True
