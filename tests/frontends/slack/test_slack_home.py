"""The Home tab: a person's own threads and files, published to whoever looks, and at little cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge.frontends.slack import home
from bridge.frontends.slack.app import SlackFrontEnd
from bridge.frontends.slack.home import Made, Thread, home_blocks, is_permalink, messages_tab
from bridge.frontends.slack.settings import SlackSettings
from bridge.inbound import Address, Person, Platform
from bridge.playground.slack import SlackWorld
from bridge.playground.slack.checks import check_view
from bridge.prompts import Prompt
from bridge.turns.inbox import Listed, Listing, Order
from bridge.turns.surface import Upload
from tests.e2e.waiting import eventually
from tests.frontends.slack.memory import MemoryInbox
from tests.frontends.slack.test_slack_front_end import serving

PUBLISH, PERMALINK = "views.publish", "chat.getPermalink"
Opens = Callable[[], Awaitable[None]]


class Recent(MemoryInbox):
    """Threads of Ada alone, and files by thread."""

    def __init__(self, ada: str) -> None:
        super().__init__()
        self.ada = ada
        self.made: dict[str, tuple[Listed, ...]] = {}
        self.slow = False
        self.looks = 0
        self.go = asyncio.Event()
        self.go.set()

    async def recent(self, platform: Platform, workspace: str, person: Person) -> Mapping[Address, str]:
        self.looks += 1
        await self.go.wait()
        return self.recently if person.id == self.ada else {}

    async def files(self, order: Order) -> Listing:
        if self.slow:
            await asyncio.Event().wait()
        return Listing(order.address, self.made.get(order.address.thread, ()))


@pytest.fixture
def inbox(world: SlackWorld) -> Recent:
    return Recent(world.person("ada").id)


@pytest.fixture
async def front_end(settings: SlackSettings, inbox: Recent) -> AsyncIterator[SlackFrontEnd]:
    prompts = (Prompt(title="Sales", message="How are sales?"),)
    front_end = SlackFrontEnd(settings, inbox, prompts_at=lambda _: prompts)
    async with serving(front_end):
        yield front_end


@pytest.fixture
def opens(world: SlackWorld) -> Opens:
    """Ada opens the tab, and it has been dealt with."""

    async def open_it() -> None:
        before = len(world.calls(PUBLISH))
        await world.open_home("ada", "home")
        await eventually(lambda: len(world.calls(PUBLISH)) > before)

    return open_it


def shown(world: SlackWorld, who: str = "ada") -> str:
    """All that stands on the tab."""
    view = world.home_of(world.person(who).id)
    return "" if view is None else repr(view.body["blocks"])


def buttons(world: SlackWorld) -> dict[str, dict[str, Any]]:
    view = world.home_of(world.person("ada").id)
    assert view is not None
    found = [block["accessory"] for block in view.body["blocks"] if "accessory" in block]
    found += [one for block in view.body["blocks"] if block["type"] == "actions" for one in block["elements"]]
    return {one["action_id"]: one for one in found}


async def thread(world: SlackWorld, inbox: Recent, question: str, channel: str = "general") -> Address:
    place = world.channel(channel)
    ts = await world.say("ada", place.id, question)
    address = Address("slack", world.team_id, place.id, ts)
    inbox.recently = {address: question} | inbox.recently
    return address


async def test_it_shows_who_opens_it_their_threads_with_links_and_what_can_be_asked(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: Recent, opens: Opens
) -> None:
    address = await thread(world, inbox, "How are sales?")
    direct = await thread(world, inbox, "And how am I?", world.direct("ada").id)
    await opens()
    link = f"https://playground.slack.com/archives/{address.channel}/p{address.thread.replace('.', '')}"
    assert buttons(world)["threadbridge-home-open:1"]["url"] == link
    assert f"/archives/{direct.channel}/" in buttons(world)["threadbridge-home-open:0"]["url"]
    assert buttons(world)[home.NEW]["url"] == f"slack://app?team={world.team_id}&id={world.app_id}&tab=messages"
    for words in ("How are sales?", f"<#{address.channel}>", "Direct message", "• Sales", "/agent upload"):
        assert words in shown(world)
    assert world.home_of(world.person("grace").id) is None  # she never looked


async def test_somebody_else_sees_nothing_of_it(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: Recent
) -> None:
    await thread(world, inbox, "My secret plan")
    await world.open_home("grace", "home")
    await eventually(lambda: "None yet" in shown(world, "grace"))
    assert "secret" not in shown(world, "grace")


async def test_a_tab_that_shows_it_already_is_not_published_again(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: Recent, opens: Opens
) -> None:
    await thread(world, inbox, "How are sales?")
    await opens()
    await world.open_home("ada", "home")
    await eventually(lambda: inbox.looks == 2)
    await thread(world, inbox, "And costs?")
    await opens()
    assert len(world.calls(PUBLISH)) == 2
    assert len(world.calls(PERMALINK)) == 2  # one a thread, ever
    assert "And costs?" in shown(world)


async def test_many_openings_at_once_are_two(world: SlackWorld, front_end: SlackFrontEnd, inbox: Recent) -> None:
    inbox.go.clear()
    for _ in range(20):
        await world.open_home("ada", "home")
    await world.deliveries.settled()
    await thread(world, inbox, "How are sales?")
    inbox.go.set()
    await eventually(lambda: "How are sales?" in shown(world))
    assert inbox.looks <= 3
    assert [call.error for call in world.calls(PUBLISH)] == [None] * len(world.calls(PUBLISH))


async def test_a_file_is_brought_by_its_button(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: Recent, opens: Opens, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1,2")
    inbox.file = Upload("a: b.csv", path, "text/csv", 3)
    address = await thread(world, inbox, "Make a file")
    inbox.made[address.thread] = (Listed("old.csv", 1), Listed("a: b.csv", 2_048))
    await opens()
    assert shown(world).index("a: b.csv") < shown(world).index("old.csv")
    await world.press_home("ada", f"{home.BRING}0")
    direct = world.direct("ada")
    await eventually(lambda: any(one.files for one in world.messages(direct.id)))
    (order,) = inbox.orders
    assert (order.name, order.argument, order.address, order.person.id) == (
        "download",
        "a: b.csv",
        address,
        inbox.ada,
    )


async def test_a_file_of_a_thread_that_is_no_longer_theirs_is_not_brought(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: Recent, opens: Opens
) -> None:
    address = await thread(world, inbox, "Make a file")
    inbox.made[address.thread] = (Listed("a.csv", 2),)
    await opens()
    inbox.recently = {}
    await world.press_home("ada", f"{home.BRING}0")
    assert inbox.orders == []


async def test_links_are_acknowledged_and_do_nothing(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: Recent, opens: Opens
) -> None:
    await thread(world, inbox, "How are sales?")
    await opens()
    await world.press_home("ada", home.NEW)
    await world.press_home("ada", f"{home.OPEN}0")
    assert (inbox.presses, inbox.orders, inbox.taken) == ([], [], [])


async def test_an_agent_that_lists_slowly_does_not_hold_it_up(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: Recent, opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "FILES_WITHIN", 0.01)
    inbox.slow = True
    await thread(world, inbox, "How are sales?")
    await opens()
    assert "How are sales?" in shown(world)
    assert "Files made lately" not in shown(world)


async def test_a_thread_that_slack_gives_no_link_for_has_none(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: Recent, opens: Opens
) -> None:
    address = await thread(world, inbox, "How are sales?")
    await world.delete("ada", address.channel, address.thread)
    await opens()
    assert "How are sales?" in shown(world)
    assert list(buttons(world)) == [home.NEW]


async def test_an_app_without_the_tab_is_asked_once(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: Recent, opens: Opens
) -> None:
    world.home_tab_enabled = True  # so that it is opened all the same
    world.faults.refuse(PUBLISH, "not_enabled")
    await opens()
    await world.open_home("grace", "home")
    await world.open_home("ada", "home")
    await world.say("ada", world.direct("ada").id, "hello")
    await eventually(lambda: inbox.taken)
    assert len(world.calls(PUBLISH)) == 1


async def test_what_another_process_published_meanwhile_stays(
    world: SlackWorld, front_end: SlackFrontEnd, inbox: Recent, opens: Opens
) -> None:
    await opens()
    inbox.go.clear()
    await world.open_home("ada", "home")
    await eventually(lambda: inbox.looks == 2)
    view = world.home_of(inbox.ada)
    assert view is not None
    newer = {"type": "home", "blocks": [{"type": "divider"}]}
    world.show_view(type(view)(view.id, view.user, view.type, world.new_ts(), newer))
    await thread(world, inbox, "How are sales?")
    inbox.go.set()
    await eventually(lambda: [call.error for call in world.calls(PUBLISH)] == [None, "hash_conflict"])
    assert "How are sales?" not in shown(world)


# --- the view, without I/O -------------------------------------------------------------------------------------


def test_whatever_people_and_agents_write_it_is_a_view_that_mentions_nobody() -> None:
    nasty = "<!channel> <@U0SIM000001> *bold* `code` [x](https://evil.example) & " + "x" * 5_000
    address = Address("slack", "T1", "C1", "1.000001")
    threads = [Thread(address, nasty, "https://a.slack.com/archives/C1/p1000001")] * home.THREADS
    files = [Made(address, Listed(f"<!here>{'y' * 200}{index}", None)) for index in range(home.FILES)]
    prompts = [Prompt(title="<!channel>", message="x")] * 4
    blocks = home_blocks(threads, files, prompts, messages_tab("T1", "A1"), "/agent")
    check_view({"type": "home", "blocks": blocks})
    texts = [block["text"] for block in blocks if block["type"] == "section"]
    marked_up = [text["text"] for text in texts if text["type"] == "mrkdwn"]
    assert not any("<!here" in one or "<@" in one for one in marked_up)
    assert "<@U" not in repr([one for one in texts if one["type"] == "plain_text"])


def test_nothing_at_all_is_a_view_too() -> None:
    blocks = home_blocks([], [], [], messages_tab("T1", ""), "/agent")
    check_view({"type": "home", "blocks": blocks})
    assert home.NO_THREADS in repr(blocks)
    assert "url" not in repr(blocks)


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("https://a.slack.com/archives/C1/p1", True),
        ("http://a.slack.com/archives/C1/p1", False),
        ("https://a.slack.com.evil.example/archives/C1/p1", False),
        ("https://evil.example/archives/C1/p1", False),
        ("https://a.slack.com/files/C1", False),
        ("https://[bad/archives/", False),
        ("", False),
    ],
)
def test_only_slacks_permalinks_are_links(link: str, leads: bool) -> None:
    assert is_permalink(link) is leads
