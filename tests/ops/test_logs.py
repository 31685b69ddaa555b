"""What the log says, and what it keeps to itself."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

import adapters.base
from adapters.base import AgentError
from bridge.ops.logs import Format, set_up_logs
from bridge.settings import LogSettings

ROOT = Path(__file__).parents[2]
WORDS = "what a person wrote"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    configured = structlog.get_config()
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    logging.disable(logging.NOTSET)  # a command that was run in this process switches its log off
    yield
    logging.disable(disabled)
    structlog.configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)


def fail(text: str) -> None:
    raise ValueError(f"{len(text)} characters are too many")


@pytest.mark.parametrize("shape", ["json", "text"])
@pytest.mark.parametrize("library", [True, False], ids=["a library's", "ours"])
def test_a_traceback_shows_where_and_not_what_was_at_hand(
    capsys: pytest.CaptureFixture[str], shape: Format, library: bool
) -> None:
    set_up_logs(format=shape)
    try:
        fail("".join(WORDS))
    except ValueError:
        if library:
            logging.getLogger(f"a.library.{shape}").exception("it broke")  # of a name that nobody has switched off
        else:
            structlog.get_logger().exception("it broke")
    logged = capsys.readouterr().err
    assert "it broke" in logged
    assert "ValueError" in logged
    assert "characters are too many" not in logged, "an exception's words may quote anybody"
    assert "test_logs.py" in logged
    assert WORDS not in logged


def test_the_cause_of_an_error_is_told_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(format="json")
    try:
        try:
            int(WORDS)
        except ValueError as error:
            raise ExceptionGroup(WORDS, [RuntimeError(WORDS)]) from error
    except ExceptionGroup:
        structlog.get_logger().exception("it broke")
    logged = json.loads(capsys.readouterr().err)
    kinds = [line for line in logged["exception"].splitlines() if not line.startswith("  ")]
    assert kinds == ["ExceptionGroup", "RuntimeError", "ValueError"]
    assert WORDS not in str(logged)


def test_a_library_is_quoted_without_values_and_only_where_it_warns(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(format="text", level=logging.DEBUG)
    talkative = logging.getLogger("a.library.that.sets.its.own.level")
    talkative.setLevel(logging.DEBUG)
    talkative.debug("request: %s", WORDS)
    talkative.info("request: %s", WORDS)
    talkative.warning("can't read %s", WORDS)
    talkative.error(f"Task exception was never retrieved\nfuture: {WORDS}")
    logged = capsys.readouterr().err
    assert "can't read %s" in logged
    assert "Task exception was never retrieved" in logged
    assert "request" not in logged
    assert WORDS not in logged


@pytest.mark.parametrize(("level", "told"), [("debug", 2), ("info", 1), ("warning", 0)])
def test_the_level_is_a_setting(capsys: pytest.CaptureFixture[str], level: str, told: int) -> None:
    settings = LogSettings.model_validate({"level": level})
    set_up_logs(format=settings.format, level=settings.severity)
    structlog.get_logger().debug("fine")
    structlog.get_logger().info("good")
    assert len(capsys.readouterr().err.splitlines()) == told


CODE = [path for package in ("bridge", "adapters") for path in (ROOT / package).rglob("*.py")]
LOUD = {"debug", "info", "warning", "error", "exception", "critical"}
# What an adapter raises may quote a service, and a service a person: see `bridge.turns.failing`.
QUOTES = {
    name for name, kind in vars(adapters.base).items() if isinstance(kind, type) and issubclass(kind, AgentError)
} | {"Exception", "BaseException", "ValueError", "KeyError"}
FORBIDDEN = {"answer", "body", "content", "detail", "message_text", "question", "text", "url", "words"}


def log_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if (
            not isinstance(node, ast.Call)
            or not isinstance(node.func, ast.Attribute)
            or node.func.attr not in LOUD
        ):
            continue
        if isinstance(node.func.value, ast.Name) and node.func.value.id in ("log", "_log"):
            yield node


def caught(handler: ast.ExceptHandler) -> set[str]:
    """The names of what it catches."""
    kinds = ast.walk(handler.type) if handler.type else ()
    return {node.id for node in kinds if isinstance(node, ast.Name)}


def test_no_line_is_given_an_errors_own_words() -> None:
    found = []
    for path in CODE:
        code = path.read_text(encoding="utf-8")
        if "log." not in code:
            continue
        tree = ast.parse(code)
        for handler in (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)):
            if handler.name is None or not caught(handler) & QUOTES:
                continue
            quoted = (f"str({handler.name})", f"repr({handler.name})", f"{{{handler.name}")
            found += [call for call in log_calls(handler) if any(one in ast.unparse(call) for one in quoted)]
        for call in log_calls(tree):
            if {keyword.arg for keyword in call.keywords} & FORBIDDEN or isinstance(call.args[0], ast.JoinedStr):
                found.append(call)
    assert [ast.unparse(call) for call in found] == []
