"""Commands, buttons, menus and modals of the unmodified discord.py in the simulated Discord."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable

import pytest

from bridge.playground.discord import CallbackType, DiscordWorld, Interaction, Times
from tests.e2e.waiting import PATIENCE
from tests.playground.discord_client import Bot, app_commands, discord, intents, running

Click = discord.Interaction[Bot]


@pytest.fixture
def world() -> DiscordWorld:
    return DiscordWorld(rate=None)


def command(bot: Bot, answer: Callable[[Click], Awaitable[None]], name: str = "ask") -> None:
    @bot.tree.command(name=name, description="Does something")
    async def run(interaction: discord.Interaction[Bot]) -> None:
        await answer(interaction)


def shown(world: DiscordWorld, interaction: Interaction) -> str:
    """The text of the answer, as the person sees it."""
    user = interaction.user_id
    messages = {message.id: message for message in world.messages(interaction.channel_id, seen_by=user)}
    return messages[interaction.original_id or 0].content


async def test_a_command_with_every_kind_of_option(world: DiscordWorld) -> None:
    got: list[tuple[object, ...]] = []
    async with running(world) as bot:
        group = app_commands.Group(name="agent", description="Agents")

        @group.command(name="upload", description="Gives a file to the agent")
        async def upload(
            interaction: Click,
            file: discord.Attachment,
            text: str,
            count: int,
            loud: bool,
            who: discord.Member,
            where: discord.TextChannel,
        ) -> None:
            got.append((await file.read(), text, count, loud, who.id, where.id))
            await interaction.response.send_message(f"got {file.filename}")

        bot.tree.add_command(group)
        synced = await bot.tree.sync()
        used = await world.command(
            "ada",
            "general",
            "agent upload",
            {
                "text": "hi",
                "count": 3,
                "loud": True,
                "who": str(world.person("grace").id),
                "where": str(world.place("random").id),
            },
            {"file": ("a.txt", "text/plain", b"content")},
        )
        await world.until(lambda: used.answered)
    assert [item.name for item in synced] == ["agent"]
    assert got == [(b"content", "hi", 3, True, world.person("grace").id, world.place("random").id)]
    assert shown(world, used) == "got a.txt"
    answer = world.messages("general")[-1]
    assert answer.invocation is not None
    assert (answer.invocation.user_id, answer.invocation.name) == (world.person("ada").id, "agent upload")


async def test_a_deferred_answer_is_filled_by_the_first_follow_up(world: DiscordWorld) -> None:
    async def answer(interaction: Click) -> None:
        await interaction.response.defer(thinking=True)
        first = await interaction.followup.send("first", wait=True)
        second = await interaction.followup.send(
            "second", wait=True, file=discord.File(io.BytesIO(b"1,2"), "table.csv")
        )
        await interaction.edit_original_response(content=f"{first.id} then {second.id}")
        await second.delete()

    async with running(world) as bot:
        command(bot, answer)
        await bot.tree.sync(guild=None)
        watch = world.watch()
        used = await world.command("ada", "general", "ask")
        async with asyncio.timeout(PATIENCE):
            async for change in watch:
                if change.kind == "deleted":
                    break
    assert used.answer is CallbackType.DEFER
    (only,) = world.messages("general")
    assert only.content == f"{only.id} then {used.followup_ids[0]}"
    assert only.flags == 0


async def test_an_ephemeral_answer_is_seen_by_one_person_only(world: DiscordWorld) -> None:
    async def answer(interaction: Click) -> None:
        await interaction.response.send_message("between us", ephemeral=True)
        original = await interaction.original_response()
        await original.edit(content=f"{original.content}!")
        await interaction.followup.send("that too", ephemeral=True)

    async with running(world) as bot:
        command(bot, answer)
        await bot.tree.sync()
        used = await world.command("ada", "general", "ask")
        await world.until(lambda: used.followup_ids)
        assert world.messages("general") == []
        assert world.messages("general", seen_by="grace") == []
        assert [message.content for message in world.messages("general", seen_by="ada")] == [
            "between us!",
            "that too",
        ]
        assert "MESSAGE_CREATE" not in bot.events
        with pytest.raises(discord.NotFound):
            await bot.room("general").fetch_message(used.original_id or 0)


async def test_a_late_or_second_answer_is_refused() -> None:
    now = 1_800_000_000.0
    codes: list[int] = []
    done = asyncio.Event()

    async def answer(interaction: Click) -> None:
        nonlocal now
        now += 2.9
        await interaction.response.send_message("in time")
        interaction.response._response_type = None  # let the client try what its own check would stop
        for wait in (0.0, 4.0):
            now += wait
            try:
                await interaction.response.send_message("again")
            except discord.HTTPException as refused:
                codes.append(refused.code)
        now += 900
        try:
            await interaction.followup.send("much later")
        except discord.HTTPException as refused:
            codes.append(refused.code)
        done.set()

    async def too_late(interaction: Click) -> None:
        nonlocal now
        now += 3.1
        try:
            await interaction.response.defer()
        except discord.NotFound as refused:
            codes.append(refused.code)
        done.set()

    world = DiscordWorld(rate=None, clock=lambda: now)
    async with running(world) as bot:
        command(bot, answer)
        command(bot, too_late, "late")
        await bot.tree.sync()
        await world.command("ada", "general", "ask")
        await asyncio.wait_for(done.wait(), PATIENCE)
        done.clear()
        late = await world.command("ada", "general", "late")
        await asyncio.wait_for(done.wait(), PATIENCE)
    assert codes == [40060, 40060, 50027, 10062]
    assert not late.answered


async def test_completions_while_typing(world: DiscordWorld) -> None:
    async with running(world) as bot:

        @bot.tree.command(name="ask", description="Asks an agent")
        async def ask(interaction: Click, agent: str) -> None:
            await interaction.response.send_message(agent)

        @ask.autocomplete("agent")
        async def agents(interaction: Click, current: str) -> list[app_commands.Choice[str]]:
            return [app_commands.Choice(name=f"{current}{end}", value=end) for end in ("port", "er")]

        await bot.tree.sync()
        typing = await world.autocomplete("ada", "general", "ask", "agent", "sup")
        await world.until(lambda: typing.answered)
    assert [choice["name"] for choice in typing.choices] == ["support", "super"]


async def test_context_menus_on_messages_and_on_people(world: DiscordWorld) -> None:
    async with running(world) as bot:

        @bot.tree.context_menu(name="Ask about this")
        async def about(interaction: Click, message: discord.Message) -> None:
            await interaction.response.send_message(f"about {message.content!r}")

        @bot.tree.context_menu(name="Who is it")
        async def who(interaction: Click, user: discord.User) -> None:
            await interaction.response.send_message(f"it is {user.name}")

        await bot.tree.sync()
        said = await world.say("ada", "general", "a riddle")
        first = await world.message_command("grace", said, "Ask about this")
        second = await world.user_command("grace", "general", "ada", "Who is it")
        await world.until(lambda: first.answered and second.answered)
    assert [shown(world, used) for used in (first, second)] == ["about 'a riddle'", "it is ada"]


class Controls(discord.ui.View):
    @discord.ui.button(label="Stop", custom_id="stop")
    async def stop_it(self, interaction: Click, button: discord.ui.Button[Controls]) -> None:
        button.disabled = True
        await interaction.response.edit_message(content="stopped", view=self)

    @discord.ui.select(
        custom_id="agent", options=[discord.SelectOption(label="A"), discord.SelectOption(label="B")]
    )
    async def choose(self, interaction: Click, select: discord.ui.Select[Controls]) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content=f"chose {select.values[0]}")


async def test_buttons_and_menus(world: DiscordWorld) -> None:
    async with running(world) as bot:
        sent = await bot.room("general").send("working", view=Controls(timeout=None))
        chosen = await world.press("ada", sent.id, "agent", ["B"])
        await world.until(lambda: world.messages("general")[0].content == "chose B")
        pressed = await world.press("ada", sent.id, "stop")
        await world.until(lambda: pressed.answered)
        with pytest.raises(LookupError):
            await world.press("ada", sent.id, "stop")
    assert (chosen.answer, pressed.answer) == (CallbackType.DEFER_UPDATE, CallbackType.UPDATE)
    assert world.messages("general")[0].content == "stopped"


class Handover(discord.ui.Modal, title="Give files"):
    note: discord.ui.Label[Handover] = discord.ui.Label(
        text="Note", component=discord.ui.TextInput(custom_id="note", required=False)
    )
    files: discord.ui.Label[Handover] = discord.ui.Label(
        text="Files", description="Up to three", component=discord.ui.FileUpload(custom_id="files", max_values=3)
    )
    agent: discord.ui.Label[Handover] = discord.ui.Label(
        text="Agent", component=discord.ui.Select(custom_id="agent", options=[discord.SelectOption(label="A")])
    )

    async def on_submit(self, interaction: discord.Interaction) -> None:
        note, files, agent = self.note.component, self.files.component, self.agent.component
        assert isinstance(note, discord.ui.TextInput)
        assert isinstance(files, discord.ui.FileUpload)
        assert isinstance(agent, discord.ui.Select)
        contents = [(await file.read()).decode() for file in files.values]
        await interaction.response.send_message(f"{note.value}: {contents} for {agent.values[0]}")


async def test_a_modal_with_files(world: DiscordWorld) -> None:
    async def answer(interaction: Click) -> None:
        await interaction.response.send_modal(Handover())

    async with running(world) as bot:
        command(bot, answer)
        await bot.tree.sync()
        opened = await world.command("ada", "general", "ask")
        await world.until(lambda: opened.modal)
        with pytest.raises(ValueError, match="files takes 1 to 3"):
            await world.submit(opened, {"agent": ["A"]})
        files = [(name, "text/plain", name.encode()) for name in ("one", "two")]
        sent = await world.submit(opened, {"note": "here", "files": files, "agent": ["A"]})
        await world.until(lambda: sent.answered)
    assert shown(world, sent) == "here: ['one', 'two'] for A"


class Card(discord.ui.LayoutView):
    def __init__(self) -> None:
        super().__init__(timeout=None)
        box: discord.ui.Container[Card] = discord.ui.Container()
        box.add_item(discord.ui.TextDisplay("# A report"))
        box.add_item(discord.ui.File("attachment://report.csv"))
        box.add_item(discord.ui.ActionRow(discord.ui.Button(label="Again", custom_id="again")))
        self.add_item(box)


async def test_components_v2(world: DiscordWorld) -> None:
    async with running(world) as bot:
        file = discord.File(io.BytesIO(b"1,2"), "report.csv")
        sent = await bot.room("general").send(view=Card(), file=file)
        with pytest.raises(discord.HTTPException) as refused:
            await sent.edit(content="plain again", view=None)
        await world.press("ada", sent.id, "again")
        fetched = await bot.room("general").fetch_message(sent.id)
        (box,) = fetched.components
        assert isinstance(box, discord.Container)
        shown_file = box.children[1]
        assert isinstance(shown_file, discord.FileComponent)
        assert await bot.http.get_from_cdn(shown_file.media.url) == b"1,2"
        with pytest.raises(discord.HTTPException) as missing:
            await bot.room("general").send(view=Card())
    assert (refused.value.code, missing.value.code) == (50035, 50035)


async def test_commands_of_a_guild_and_everywhere(world: DiscordWorld) -> None:
    guild = discord.Object(world.guild.id)
    async with running(world) as bot:

        @bot.tree.command(name="here", description="Here only", guild=guild)
        async def here(interaction: Click) -> None:
            await interaction.response.send_message("here")

        first = await bot.tree.sync(guild=guild)
        again = await bot.tree.sync(guild=guild)
        used = await world.command("ada", "general", "here")
        await world.until(lambda: used.answered)
        with pytest.raises(LookupError):
            await world.command("ada", world.direct("ada").id, "here")
        assert [item.id for item in first] == [item.id for item in again]
        assert [item.name for item in await bot.tree.fetch_commands(guild=guild)] == ["here"]
        await first[0].delete()
        assert await bot.tree.fetch_commands(guild=guild) == []


async def test_a_command_in_direct_messages(world: DiscordWorld) -> None:
    async def answer(interaction: Click) -> None:
        await interaction.response.send_message(f"hello {interaction.user.name} {interaction.guild}")

    async with running(world, Bot(intents())) as bot:
        command(bot, answer)
        await bot.tree.sync()
        used = await world.command("ada", world.direct("ada").id, "ask")
        await world.until(lambda: used.answered)
    assert shown(world, used) == "hello ada None"


async def test_options_that_the_form_would_not_let_through(world: DiscordWorld) -> None:
    async with running(world) as bot:

        @bot.tree.command(name="pick", description="Picks")
        @app_commands.choices(one=[app_commands.Choice(name="A", value="a")])
        async def pick(interaction: Click, one: str) -> None:
            await interaction.response.send_message(one)

        await bot.tree.sync()
        for options in ({}, {"one": "b"}, {"one": "a", "two": "b"}):
            with pytest.raises(ValueError, match=r"one|two"):
                await world.command("ada", "general", "pick", options)


def test_the_time_to_answer_can_be_set() -> None:
    world = DiscordWorld(times=Times(respond_within=0.5))
    assert (world.times.respond_within, world.times.token_lives) == (0.5, 900.0)
