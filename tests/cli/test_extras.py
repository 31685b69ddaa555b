"""A module that only an extra brings is needed for nothing else, and where it is missing a sentence names it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.extras import EXTRAS
from tests.cli.command import PATIENCE, WHOLE_TEST
from tests.e2e.running import environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(WHOLE_TEST)]  # a process each

ONLY_TESTS = ("pytest", "hypothesis", "respx")
# Runs the command as if these modules weren't installed.
HIDING = """
import sys
def hides(name):
    return any((name + ".").startswith(one + ".") for one in {hidden!r})
class Hide:
    def find_spec(self, name, path=None, target=None):
        if hides(name):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
sys.argv = ["threadbridge", *{arguments!r}]
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if hides(name) else found(name, package)
{program}
"""
COMMAND = "from bridge.cli import main; main()"
ECHO = '[agents.echo]\nkind = "echo"\ndelay = 0\n'
PLATFORM = '[discord]\ntoken = "abc"\n'


def run(*arguments: str, hidden: tuple[str, ...], folder: Path, program: str = COMMAND) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", HIDING.format(hidden=hidden, arguments=arguments, program=program)],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def write(folder: Path, text: str) -> None:
    (folder / "threadbridge.toml").write_text(text, encoding="utf-8")


def test_without_any_extra_an_agent_answers(tmp_path: Path) -> None:
    write(tmp_path, ECHO)
    every = tuple(module for modules in EXTRAS.values() for module in modules)
    code, out, err = run("ask", "echo", "hello", hidden=(*every, *ONLY_TESTS), folder=tmp_path)
    assert (code, out) == (0, "hello\n"), err


@pytest.mark.parametrize("kind", ["openai", "a2a"])
def test_a_kind_whose_extra_is_missing_names_it(tmp_path: Path, kind: str) -> None:
    write(tmp_path, f'[agents.x]\nkind = "{kind}"\nbase_url = "http://127.0.0.1:9"\napi_key = "k"\n')
    code, out, err = run("ask", "x", "hello", hidden=EXTRAS[kind], folder=tmp_path)
    assert (code, out) == (1, "")
    assert err == (
        f"threadbridge: agents.x: the kind '{kind}' needs more than is installed:"
        f' pip install "threadbridge[{kind}]"\n'
    )


def test_postgresql_without_its_extra_names_it(tmp_path: Path) -> None:
    write(tmp_path, f'database_url = "postgresql://u@127.0.0.1:9/d"\n{PLATFORM}{ECHO}')
    code, out, err = run("db", "upgrade", hidden=EXTRAS["postgres"], folder=tmp_path)
    assert (code, out) == (1, "")
    assert 'pip install "threadbridge[postgres]"' in err
    assert len(err.splitlines()) == 1
    code, out, err = run("doctor", hidden=EXTRAS["postgres"], folder=tmp_path)
    (line,) = [line for line in out.splitlines() if line.startswith("fail database_url")]
    assert 'pip install "threadbridge[postgres]"' in line


def test_traces_without_their_extra_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    write(tmp_path, f"{PLATFORM}{ECHO}")
    code, out, err = run("run", hidden=EXTRAS["otel"], folder=tmp_path)
    assert (code, out) == (1, "")
    assert err == (
        "threadbridge: the environment's OTEL_… variables ask for traces, which needs more than is installed:"
        ' pip install "threadbridge[otel]"\n'
    )


@pytest.mark.parametrize("module", EXTRAS["demo"])
def test_the_playground_without_its_extra_names_it(tmp_path: Path, module: str) -> None:
    code, out, err = run("demo", "--no-browser", "--port", "0", hidden=(module,), folder=tmp_path)
    assert (code, out) == (1, "")
    assert err == 'threadbridge: the playground needs more than is installed: pip install "threadbridge[demo]"\n'


def test_the_playground_needs_nothing_of_the_tests(tmp_path: Path) -> None:
    hidden = (*EXTRAS["postgres"], *ONLY_TESTS)
    program = "import bridge.playground.demo; import bridge.app"
    assert run(hidden=hidden, folder=tmp_path, program=program) == (0, "", "")
    suite = "from adapters.testing import AdapterContract"
    code, _, err = run(hidden=hidden, folder=tmp_path, program=suite)
    assert code == 1
    assert err.endswith('the contract suite needs pytest: pip install "threadbridge[testing]"\n')
