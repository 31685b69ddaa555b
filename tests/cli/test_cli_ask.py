"""`threadbridge ask` and `threadbridge files`. That each kind of agent answers is the contract suite's to prove."""

from __future__ import annotations

import getpass
import re
from pathlib import Path

import pytest

from adapters.base import AuthenticationFailed, Decision, Rejected, Unavailable
from adapters.testing.backends import faults
from tests.cli.command import WHOLE_TEST
from tests.cli.conftest import Command
from tests.e2e.town import Town

pytestmark = [pytest.mark.slow, pytest.mark.timeout(WHOLE_TEST)]

LAST_WORDS = "or send me a file.\n"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\nand bread\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("agent", ["toqan", "fifthelement"], ids=["takes files", "streams"])
async def test_a_question_and_a_follow_up(town: Town, command: Command, notes: Path, agent: str) -> None:
    first = await command("ask", agent, "what now?")
    assert first.code == 0, first.err
    assert first.out.startswith("You asked: “what now?”.\n\nHere is")
    assert first.out.endswith(LAST_WORDS)
    assert first.conversation

    file = ("--file", str(notes)) if agent == "toqan" else ()
    second = await command("ask", agent, "and then?", *file, "--conversation", first.conversation, "--json")
    assert second.code == 0, second.err
    assert second.conversation == first.conversation
    who, *events, done = second.events
    assert who == {"event": "person", "platform": "terminal", "id": getpass.getuser(), "told": "id"}
    assert {(told.person["platform"], told.person["id"]) for told in town.backend(agent).told} == {
        (who["platform"], who["id"])
    }
    assert {event["event"] for event in (*events, done)} <= {"checkpoint", "text", "status", "done"}
    assert done["event"] == "done"
    answer = done["text"] or "".join(event["delta"] for event in events if event["event"] == "text")
    assert "Before that it was “what now?”, so this is question 2." in answer
    assert ("buy milk" in answer) is bool(file)
    assert town.backend(agent).questions[0].text == "what now?"
    assert town.backend(agent).count() == 2


async def test_files_are_saved_listed_and_fetched(command: Command, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    ended = await command("ask", "sema4ai", "a report and a csv", "--out", str(saved))
    assert ended.code == 0, ended.err
    assert sorted(path.name for path in saved.iterdir()) == ["report.md", "sales.csv"]
    assert (saved / "report.md").read_bytes().startswith(b"# Report")

    listed = await command("files", "sema4ai", ended.conversation)
    assert listed.code == 0, listed.err
    assert sorted(line.split("\t")[0] for line in listed.out.splitlines()) == ["report.md", "sales.csv"]

    fetched = tmp_path / "fetched"
    got = await command("files", "sema4ai", ended.conversation, "--download", "sales.csv", "--out", str(fetched))
    assert got.code == 0, got.err
    assert got.out == f"{fetched / 'sales.csv'}\n"
    assert (fetched / "sales.csv").read_bytes() == (saved / "sales.csv").read_bytes()


async def test_a_file_that_does_not_exist(command: Command) -> None:
    ended = await command("ask", "toqan", "hello")
    missing = await command("files", "toqan", ended.conversation, "--download", "nothing.txt")
    assert missing.is_one_sentence("no file 'nothing.txt'"), missing.err


async def test_an_agent_without_files(command: Command, notes: Path) -> None:
    refused = await command("ask", "agentok", "read this", "--file", str(notes))
    assert refused.code == 1
    assert "can't take files" in refused.err
    listed = await command("files", "agentok", "1")
    assert listed.is_one_sentence("the agent agentok has no files"), listed.err


async def test_a_table_is_saved_as_csv(command: Command, tmp_path: Path) -> None:
    ended = await command("ask", "sema4ai", "a table", "--out", str(tmp_path / "saved"), "--json")
    [table] = [event for event in ended.events if event["event"] == "table"]
    assert table["columns"] == ["month", "orders", "returned"]
    assert Path(table["path"]).read_text(encoding="utf-8-sig").splitlines()[0] == "month,orders,returned"


async def test_the_answer_is_streamed_in_its_order(command: Command) -> None:
    ended = await command("ask", "openai", "a long one", "--json")
    deltas = [event["delta"] for event in ended.events if event["event"] == "text"]
    assert len(deltas) > 100
    streamed = "".join(deltas)
    plain = (await command("ask", "openai", "a long one")).out
    assert plain.rstrip("\n") == streamed.rstrip("\n")
    found = [int(number) for number in re.findall(r"This paragraph is number (\d+)\.", plain)]
    assert len(found) > 30
    assert found == list(range(1, len(found) + 1))


async def test_a_question_of_the_agent_is_answered_at_the_terminal(command: Command) -> None:
    ended = await command("ask", "a2a", "ask me about the year", typed="2024\n")
    assert ended.code == 0, ended.err
    assert "Which year do you mean?" in ended.out
    assert "2024" in ended.out
    assert ended.out.index("Which year") < ended.out.index("2024")


async def test_a_question_that_nobody_answers(command: Command) -> None:
    ended = await command("ask", "agentok", "ask me about the year")
    assert ended.code == 1
    assert "“Which year do you mean?” and got no answer" in ended.err


async def test_steps_are_lines_beside_the_answer(command: Command) -> None:
    ended = await command("ask", "openai", "take some steps")
    assert ended.code == 0, ended.err
    lines = ended.err.splitlines()
    assert lines.count("· Searching the web: this week") == 1
    assert lines.count("· Read minutes: town") == 1
    assert "·" not in ended.out
    as_json = await command("ask", "openai", "take some steps", "--json")
    told = [(event["title"], event["state"]) for event in as_json.events if event["event"] == "step"]
    assert ("Searching the web", "running") in told
    assert ("Searching the web", "done") in told


async def test_what_is_quoted_stands_below(command: Command) -> None:
    ended = await command("ask", "openai", "cite your sources")
    assert "[1] Markets of the town https://example.com/markets\n" in ended.err
    done = (await command("ask", "openai", "cite your sources", "--json")).events[-1]
    assert [source["title"] for source in done["sources"]] == ["Markets of the town", "The harbour"]


async def test_a_charts_numbers_are_saved(command: Command, tmp_path: Path) -> None:
    ended = await command("ask", "sema4ai", "a chart", "--out", str(tmp_path / "saved"), "--json")
    [chart] = [event for event in ended.events if event["event"] == "chart"]
    assert Path(chart["path"]).read_text(encoding="utf-8-sig").splitlines()[:2] == [
        ",orders",
        "January,120.0",
    ]


@pytest.mark.parametrize(
    ("typed", "approved", "reason"),
    [
        ("y\n", True, ""),
        ("YES go on\n", True, "go on"),
        ("n not before Monday\n", False, "not before Monday"),
        ("yesterday\n", False, ""),
        ("", False, "Nobody answered at the terminal."),
    ],
)
async def test_leave_is_given_at_the_terminal_or_not(
    town: Town, command: Command, typed: str, approved: bool, reason: str
) -> None:
    ended = await command("ask", "a2a", "approve it first", typed=typed)
    assert ended.code == 0, ended.err
    assert "Send letters\nTo **everybody**." in ended.out
    assert "[y/N]" in ended.err
    assert town.backend("a2a").decisions == [Decision(approved, reason)]


async def test_a_decision_is_an_event_too(command: Command) -> None:
    ended = await command("ask", "openai", "approve it first", "--json", typed="y fine\n")
    assert ended.code == 0, ended.err
    shown = [event for event in ended.events if event["event"] in {"approval", "decision"}]
    assert [event["event"] for event in shown] == ["approval", "decision"]
    assert shown[0]["title"] == "Send letters (post)"
    assert shown[1] == {"event": "decision", "approved": True, "reason": "fine"}


async def test_a_failed_turn(command: Command) -> None:
    ended = await command("ask", "openai", "fail")
    assert ended.code == 1
    sentence, detail, *rest = [line for line in ended.err.splitlines() if line.startswith("threadbridge: ")]
    assert not rest
    assert "127.0.0.1" not in sentence
    assert detail.startswith("threadbridge: detail: ")
    assert "Traceback (most" not in ended.err.replace(detail, "")


async def test_a_wrong_key(town: Town, command: Command, config: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    settings = config.read_text(encoding="utf-8")
    wrong.write_text(settings.replace(town.backend("toqan").key, "sk_mistyped"), encoding="utf-8")
    ended = await command("ask", "toqan", "hello", settings=wrong)
    assert ended.code == 1
    assert AuthenticationFailed.sentence in ended.err
    assert "sk_mistyped" not in ended.err
    assert not ended.out


async def test_a_backend_that_is_down(town: Town, command: Command, config: Path, tmp_path: Path) -> None:
    down = tmp_path / "down.toml"
    settings = config.read_text(encoding="utf-8")
    down.write_text(settings.replace(f"{town.url}/agents/toqan", "http://127.0.0.1:9"), encoding="utf-8")
    ended = await command("ask", "toqan", "hello", settings=down)
    assert ended.code == 1
    assert Unavailable.sentence in ended.err
    assert "Traceback" not in ended.err


async def test_a_refusal_says_so(town: Town, command: Command) -> None:
    town.backend("toqan").faults.add("create", faults.refuse(400))
    ended = await command("ask", "toqan", "hello")
    assert ended.code == 1
    assert Rejected.sentence in ended.err


async def test_what_does_not_exist(command: Command, tmp_path: Path) -> None:
    agent = await command("ask", "nobody", "hello")
    assert agent.is_one_sentence("no [agents.nobody]", "toqan"), agent.err
    file = await command("ask", "toqan", "hello", "--file", str(tmp_path / "none.txt"))
    assert file.code == 1
    assert "There is no file" in file.err
    assert "Traceback" not in file.err
