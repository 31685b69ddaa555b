"""The table of commands: what is one, and what stays a question."""

from __future__ import annotations

import pytest

from bridge.commands import COMMANDS, spoken, typed


@pytest.mark.parametrize(
    ("words", "name", "argument"),
    [
        ("stop", "stop", ""),
        ("  Stop \n", "stop", ""),
        ("status", "status", ""),
        ("agent", "agent", ""),
        ("agent research", "agent", "research"),
        ("files", "files", ""),
        ("upload", "upload", ""),
        ("download sales.csv", "download", "sales.csv"),
    ],
)
def test_a_mention_that_says_nothing_else_is_a_command(words: str, name: str, argument: str) -> None:
    given = spoken(words)
    assert given is not None
    assert (given.command.name, given.argument) == (name, argument)


@pytest.mark.parametrize(
    "words",
    ["", "stop the server", "please stop", "stop?", "new ideas for lunch", "help me", "history of Rome",
     "download", "upload my brain", "download everything", "download it.",
     "download a.csv and b.csv", "ask", "ask Bob", "agent Smith called", "retrying", "status of the build"],
)  # fmt: skip
def test_an_ordinary_question_stays_one(words: str) -> None:
    assert spoken(words) is None


def test_what_follows_the_slash_command() -> None:
    assert typed("") == typed(" help ")
    given = typed("ask  how are\nsales? ")
    assert not isinstance(given, str)
    assert (given.command.name, given.argument) == ("ask", "how are\nsales?")
    assert typed("halp me") == "halp"


def test_every_help_fits_discord() -> None:
    for command in COMMANDS:
        assert 0 < len(command.help) <= 100
        assert command.option is None or 0 < len(command.option.help) <= 100
