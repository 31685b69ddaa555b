"""How the commands write and end: cleaned text, and one sentence for whatever goes wrong."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from adapters.base import AgentError
from bridge.extras import extra_of, how_to_install
from bridge.printable import printable
from bridge.settings import SettingsError

NOT_WRITTEN = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
INTERRUPTED = 130  # as shells have it for SIGINT


def write(text: str, *, end: str = "\n") -> None:
    """Onto standard output, at once."""
    print(printable(text), end=end, flush=True)


def aside(text: str, *, end: str = "\n") -> None:
    """Onto standard error: what isn't the answer."""
    print(printable(text), end=end, file=sys.stderr, flush=True)


def fail(sentence: str) -> NoReturn:
    aside(f"threadbridge: {sentence}")
    raise SystemExit(1)


def fail_with(error: AgentError) -> NoReturn:
    """The sentence for people, and the detail below it."""
    fail(f"{error.sentence}\nthreadbridge: detail: {error}")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The fastest loop there is."""
    try:
        import uvloop
    except ImportError:  # Windows has none
        return None
    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, None]) -> None:
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(main)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def in_sentences(command: Callable[[], object]) -> None:
    """Call `command`; what goes wrong that an operator can do something about is one sentence and exit code 1."""
    try:
        try:
            command()
        finally:
            if sys.stdout is not None:  # what is still held, while there is somebody to tell
                sys.stdout.flush()
    except SettingsError as error:
        fail(str(error))
    except ImportError as error:
        if extra := extra_of(error):
            fail(f"the module {error.name} isn't installed: {how_to_install(extra)}")
        raise
    except BrokenPipeError:  # who read our output has seen enough
        _forget_output()
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is not None:
            fail(f"{error.filename}: {error.strerror}")
        if error.errno in NOT_WRITTEN:
            _forget_output()
            fail(f"the output can't be written: {error.strerror}")
        raise
    except Exception as error:
        # Whoever raises one of these has imported them; a command without a database starts in half the time.
        from bridge.store.database import DatabaseError
        from bridge.turns.surface import ConfigurationError

        if isinstance(error, DatabaseError | ConfigurationError):
            fail(str(error))
        raise


def _forget_output() -> None:
    """Otherwise Python tries once more at its end, and complains."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
