"""What the log says, and what it keeps to itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from bridge.ops.logs import set_up_logs

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


@pytest.mark.parametrize("json", [True, False], ids=["for machines", "for people"])
@pytest.mark.parametrize("library", [True, False], ids=["a library's", "ours"])
def test_a_traceback_shows_where_and_not_what_was_at_hand(
    capsys: pytest.CaptureFixture[str], json: bool, library: bool
) -> None:
    set_up_logs(json=json)
    try:
        fail("".join(WORDS))
    except ValueError:
        if library:
            logging.getLogger(f"a.library.{json}").exception("it broke")  # of a name that nobody has switched off
        else:
            structlog.get_logger().exception("it broke")
    logged = capsys.readouterr().err
    assert "it broke" in logged
    assert "ValueError" in logged
    assert "characters are too many" in logged
    assert "test_logs.py" in logged
    assert WORDS not in logged
