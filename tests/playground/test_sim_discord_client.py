"""The unmodified discord.py against the simulated Discord: logging in, messages, threads, files."""

from __future__ import annotations

import io

import pytest

from bridge.playground.discord import DiscordWorld, MessageType, Permission
from tests.playground.discord_client import Bot, discord, intents, running, served


@pytest.fixture
def world() -> DiscordWorld:
    return DiscordWorld(rate=None)


async def test_login_shows_the_guild_its_channels_and_the_application(world: DiscordWorld) -> None:
    async with running(world) as bot:
        guild = bot.guilds[0]
        info = await bot.application_info()
        assert (guild.name, guild.me.id, guild.member_count) == ("Playground", world.bot.id, 4)
        assert [channel.name for channel in guild.text_channels] == ["general", "random"]
        assert [tag.name for tag in bot.forum("help").available_tags] == ["question", "bug"]
        assert info.owner.id == world.owner.id
        assert info.flags.gateway_message_content_limited
        assert bot.room("general").permissions_for(guild.me).send_messages


async def test_a_wrong_token_is_refused(world: DiscordWorld) -> None:
    async with served(world):
        bot = Bot(intents())
        with pytest.raises(discord.LoginFailure):
            await bot.start("something else")
        await bot.close()
    assert world.calls()[0].status == 401


@pytest.mark.parametrize("wanted", [intents(content=True), intents(content=False, members=True)])
async def test_an_intent_that_is_not_switched_on_closes_the_gateway(wanted: discord.Intents) -> None:
    world = DiscordWorld(message_content=False)
    async with served(world):
        bot = Bot(wanted)
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await bot.start(world.token)
        await bot.close()


async def test_what_a_person_writes_edits_and_deletes_is_heard(world: DiscordWorld) -> None:
    async with running(world) as bot:
        first = await world.say("ada", "general", world.typed("hello @threadbridge"))
        reply = await world.say("grace", "general", "me too", reply_to=first)
        heard = await bot.hears("me too")
        assert heard.reference is not None
        assert isinstance(heard.reference.resolved, discord.Message)
        assert (heard.id, heard.reference.message_id, heard.reference.resolved.author.name) == (
            reply,
            first,
            "ada",
        )
        assert bot.user in bot.heard[0].mentions
        assert world.person("ada").id in [user.id for user in heard.mentions]

        await world.edit("ada", "general", first, "hello, all")
        await world.delete("grace", "general", reply)
        await bot.until(lambda: bot.deletions == [reply])
        assert bot.edits[0].message.content == "hello, all"
        assert bot.edits[0].message.edited_at is not None


async def test_the_bot_sends_edits_and_deletes(world: DiscordWorld) -> None:
    async with running(world) as bot:
        sent = await bot.room("general").send("one")
        await sent.edit(content="two")
        assert [message.content for message in world.messages("general")] == ["two"]
        assert (await bot.room("general").fetch_message(sent.id)).content == "two"
        await sent.delete()
        assert world.messages("general") == []
        await bot.until(lambda: bot.deletions)
        assert bot.events.count("MESSAGE_CREATE") == 1


async def test_the_bot_reads_history_page_by_page(world: DiscordWorld) -> None:
    ids = [await world.say("ada", "general", f"{number}") for number in range(250)]
    async with running(world) as bot:
        room = bot.room("general")
        newest_first = [message.id async for message in room.history(limit=None)]
        after = [message.id async for message in room.history(limit=120, after=discord.Object(ids[100]))]
        around = [message.id async for message in room.history(limit=5, around=discord.Object(ids[7]))]
    assert newest_first == ids[::-1]
    assert after == ids[101:221]
    assert sorted(around) == ids[5:10]


async def test_files_go_both_ways(world: DiscordWorld) -> None:
    async with running(world) as bot:
        await world.say("ada", "general", "see here", files=[("my notes.txt", "text/plain", b"\x00notes")])
        heard = await bot.hears("see here")
        attachment = heard.attachments[0]
        assert (attachment.filename, attachment.content_type, attachment.size) == ("my_notes.txt", "text/plain", 6)
        assert await attachment.read() == b"\x00notes"

        files = [
            discord.File(io.BytesIO(data), name) for name, data in (("a.csv", b"1,2"), ("b.bin", b"\xff" * 70_000))
        ]
        await bot.room("general").send("yours", files=files)
    sent = world.messages("general")[-1]
    assert [item.name for item in sent.attachments] == ["a.csv", "b.bin"]
    assert sent.attachments[0].media_type == "text/csv"
    assert [world.bytes_of(item) for item in sent.attachments] == [b"1,2", b"\xff" * 70_000]
    assert world.calls("POST /channels/*/messages")[0].files == ("a.csv", "b.bin")


async def test_an_edit_keeps_or_drops_attachments(world: DiscordWorld) -> None:
    async with running(world) as bot:
        sent = await bot.room("general").send(files=[discord.File(io.BytesIO(b"x"), name) for name in ("a", "b")])
        await sent.edit(content="still both")
        await sent.edit(attachments=[sent.attachments[1], discord.File(io.BytesIO(b"y"), "c")])
    assert [item.name for item in world.messages("general")[0].attachments] == ["b", "c"]


async def test_a_file_address_serves_for_a_day_only() -> None:
    now = 1_800_000_000.0
    world = DiscordWorld(rate=None, clock=lambda: now)
    async with running(world) as bot:
        await world.say("ada", "general", "a file", files=[("a.txt", "text/plain", b"a")])
        heard = await bot.hears("a file")
        now += 86_401
        with pytest.raises(discord.NotFound):
            await heard.attachments[0].read()
        again = await bot.room("general").fetch_message(heard.id)
        assert await again.attachments[0].read() == b"a"


async def test_a_thread_on_a_message(world: DiscordWorld) -> None:
    async with running(world) as bot:
        asked = await world.say("ada", "general", "why?")
        heard = await bot.hears("why?")
        thread = await heard.create_thread(name="why?", auto_archive_duration=60)
        await thread.send("because")
        with pytest.raises(discord.HTTPException) as refused:
            await heard.create_thread(name="again")
        await world.say("ada", thread.id, "I see")
        answer = await bot.hears("I see")

        assert (thread.id, refused.value.code) == (asked, 160004)
        assert isinstance(answer.channel, discord.Thread)
        assert (answer.channel.name, answer.channel.parent_id) == ("why?", world.place("general").id)
        assert bot.new_threads == [thread]
        starter = await anext(thread.history(oldest_first=True))
        assert starter.type is discord.MessageType.thread_starter_message
        assert starter.reference is not None
        assert starter.reference.message_id == asked
    assert [message.type for message in world.messages(thread.id)] == [MessageType.THREAD_STARTER, 0, 0]
    assert [found.name for found in world.threads("general")] == ["why?"]
    assert world.messages("general")[0].thread_id == thread.id


async def test_threads_of_people_and_threads_that_were_there(world: DiscordWorld) -> None:
    old = await world.open_thread("ada", "general", "old")
    hidden = await world.open_thread("ada", "general", "between us", private=True)
    async with running(world) as bot:
        assert [thread.id for thread in bot.guilds[0].threads] == [old]
        new = await world.open_thread("grace", "general", "new")
        await bot.until(lambda: bot.new_threads)
        assert bot.new_threads[0].id == new
        with pytest.raises(discord.Forbidden) as refused:
            await bot.fetch_channel(hidden)
        assert refused.value.code == 50001

        await world.add_to_thread(hidden, world.bot.id)
        await bot.until(lambda: bot.get_channel(hidden))
        assert [thread.id for thread in await bot.guilds[0].active_threads()] == [new, hidden, old]


async def test_an_archived_thread_opens_again_unless_it_is_locked(world: DiscordWorld) -> None:
    async with running(world) as bot:
        thread = await bot.room("general").create_thread(name="mine", type=discord.ChannelType.public_thread)
        sent = await thread.send("one")
        await thread.edit(archived=True)
        assert [found.id async for found in bot.room("general").archived_threads()] == [thread.id]
        with pytest.raises(discord.HTTPException) as unchanged:
            await sent.edit(content="changed")
        await thread.send("two")
        found = world.place(thread.id).thread
        assert found is not None
        assert not found.archived

        await world.archive(thread.id, locked=True)
        with pytest.raises(discord.HTTPException) as locked:
            await thread.send("three")
        with pytest.raises(PermissionError):
            await world.say("ada", thread.id, "three")
    assert (unchanged.value.code, locked.value.code) == (50083, 50083)


async def test_renaming_a_thread_leaves_a_line_in_it(world: DiscordWorld) -> None:
    async with running(world) as bot:
        thread = await bot.room("general").create_thread(name="a", type=discord.ChannelType.public_thread)
        await thread.edit(name="b")
        await bot.until(lambda: bot.guilds[0].threads[0].name == "b")
    assert world.messages(thread.id)[-1].type is MessageType.CHANNEL_NAME_CHANGE


async def test_forum_posts_of_people_and_of_the_bot(world: DiscordWorld) -> None:
    async with running(world) as bot:
        post = await world.create_forum_post(
            "ada", "help", "It broke", "badly", tags=["bug"], files=[("log.txt", "text/plain", b"log")]
        )
        heard = await bot.hears("badly")
        assert isinstance(heard.channel, discord.Thread)
        assert (heard.id, heard.channel.id, heard.channel.name) == (post, post, "It broke")
        assert heard.channel.parent == bot.forum("help")
        assert [tag.name for tag in heard.channel.applied_tags] == ["bug"]
        assert await heard.attachments[0].read() == b"log"

        mine = await bot.forum("help").create_thread(name="News", content="all is well")
        assert mine.message.id == mine.thread.id
    assert [post.name for post in world.threads("help")] == ["It broke", "News"]


async def test_direct_messages(world: DiscordWorld) -> None:
    async with running(world) as bot:
        direct = world.direct("ada")
        await world.say("ada", direct.id, "psst")
        heard = await bot.hears("psst")
        assert isinstance(heard.channel, discord.DMChannel)
        await heard.channel.send("yes?")
        user = await bot.fetch_user(world.person("grace").id)
        await user.send("hello")
        world.person("ada").takes_direct = False
        with pytest.raises(discord.Forbidden) as refused:
            await heard.channel.send("still there?")
    assert refused.value.code == 50007
    assert [message.content for message in world.messages(direct.id)] == ["psst", "yes?"]
    assert world.messages(world.direct("grace").id)[0].content == "hello"


async def test_without_the_content_intent_only_what_is_meant_for_the_bot_is_readable() -> None:
    world = DiscordWorld(rate=None, message_content=False)
    async with running(world, Bot(intents(content=False))) as bot:
        await world.say("ada", "general", "not for you", files=[("a.txt", "text/plain", b"a")])
        mentioned = f"{world.mention} for you"
        await world.say("ada", "general", mentioned)
        await world.say("ada", world.direct("ada").id, "between us")
        own = await bot.room("general").send("mine")
        await world.say("ada", "general", "answering you", reply_to=own.id)
        await bot.hears("answering you")
        assert bot.texts == ["", mentioned, "between us", "mine", "answering you"]
        assert bot.heard[0].attachments == []
        assert [message.content async for message in bot.room("general").history(oldest_first=True)] == [
            "",
            mentioned,
            "mine",
            "answering you",
        ]


async def test_reactions_and_typing_both_ways(world: DiscordWorld) -> None:
    async with running(world) as bot:
        sent = await bot.room("general").send("good?")
        await world.react("ada", "general", sent.id, "👍")
        await world.type_in("grace", "general")
        await bot.until(lambda: bot.typed and bot.reactions)
        await sent.add_reaction("🎉")
        async with bot.room("general").typing():
            pass
        assert (bot.reactions[0].user_id, str(bot.reactions[0].emoji)) == (world.person("ada").id, "👍")
        assert bot.typed[0] == world.person("grace").id
        fetched = await bot.room("general").fetch_message(sent.id)
        assert {str(item.emoji): item.me for item in fetched.reactions} == {"👍": False, "🎉": True}
        await sent.remove_reaction("🎉", discord.Object(world.bot.id))
    assert list(world.messages("general")[0].reactions) == ["👍"]
    assert world.calls("POST /channels/*/typing")[0].status == 204


async def test_a_repeated_nonce_sends_nothing_again() -> None:
    now = 1_800_000_000.0
    world = DiscordWorld(rate=None, clock=lambda: now)
    async with running(world) as bot:
        room = bot.room("general")
        first, again = [await room.send("once", nonce="turn-0") for _ in range(2)]
        other = await room.send("else", nonce="turn-1")
        assert (first.id, first.nonce) == (again.id, "turn-0")
        assert (await room.fetch_message(first.id)).nonce is None
        now += world.times.nonce_lives + 1
        late = await room.send("later", nonce="turn-0")
    assert [message.id for message in world.messages("general")] == [first.id, other.id, late.id]


async def test_replies_ping_only_whom_they_may(world: DiscordWorld) -> None:
    ada = world.person("ada")
    text = f"<@{ada.id}> @everyone <@&{world.guild.bot_role_id}> `<@{world.person('grace').id}>`"
    async with running(world) as bot:
        room = bot.room("general")
        asked = await world.say("ada", "general", "hello")
        original = await room.fetch_message(asked)
        await original.reply(text, allowed_mentions=discord.AllowedMentions.none())
        assert list(world.pings) == []
        loud = await original.reply(text)
        assert [(ping.message_id, ping.target) for ping in world.pings] == [(loud.id, str(ada.id))]
        world.guild.bot_permissions |= Permission.MENTION_EVERYONE
        await room.send("@here", allowed_mentions=discord.AllowedMentions(everyone=True))
    assert [ping.target for ping in world.pings][1:] == ["@everyone"]


async def test_links_unfurl_as_an_update_that_is_no_edit(world: DiscordWorld) -> None:
    async with running(world) as bot:
        room = bot.room("general")
        await room.send("quiet https://a.example/", suppress_embeds=True)
        await room.send("hidden <https://b.example/> and `https://c.example/`")
        assert list(world.unfurls) == []
        sent = await room.send("see https://d.example/?q=1")
        await sent.edit(content="see https://d.example/?q=1 and https://e.example/")
        await world.say("ada", "general", "mine: https://f.example/")
        await bot.until(lambda: bot.edits and bot.edits[-1].message.content == "mine: https://f.example/")
        assert bot.edits[-1].message.edited_at is None
        assert bot.edits[-1].message.embeds[0].url == "https://f.example/"
    assert [unfurl.url for unfurl in world.unfurls] == ["https://d.example/?q=1", "https://e.example/"]


async def test_permissions_and_being_put_out(world: DiscordWorld) -> None:
    async with running(world) as bot:
        room = bot.room("general")
        thread = await world.open_thread("ada", "general", "inside")
        await bot.until(lambda: bot.new_threads)
        world.deny("general", Permission.SEND_MESSAGES)
        with pytest.raises(discord.Forbidden) as cannot_send:
            await room.send("hello")
        world.deny("general", Permission.VIEW_CHANNEL)
        with pytest.raises(discord.Forbidden) as cannot_see:
            await room.send("hello")
        await world.say("ada", "general", "unseen")
        world.deny("general", Permission(0))
        await bot.until(lambda: "THREAD_LIST_SYNC" in bot.events)
        await world.say("ada", thread, "seen")
        await bot.hears("seen")
        assert "unseen" not in bot.texts

        world.kick_bot(world.guild)
        await bot.until(lambda: not bot.guilds)
        with pytest.raises(discord.Forbidden):
            await room.send("hello?")
    assert (cannot_send.value.code, cannot_see.value.code) == (50013, 50001)


async def test_members_are_told_when_asked_for() -> None:
    world = DiscordWorld(rate=None, members_intent=True)
    async with running(world, Bot(intents(members=True))) as bot:
        found = await bot.guilds[0].query_members("gra")
        assert [member.display_name for member in found] == ["Grace Hopper"]
        world.add_person("Edsger Dijkstra")
        await bot.until(lambda: "GUILD_MEMBER_ADD" in bot.events)
        assert discord.utils.get(bot.guilds[0].members, name="edsger")
        assert (await bot.guilds[0].fetch_member(world.person("ada").id)).name == "ada"


async def test_who_is_in_a_thread(world: DiscordWorld) -> None:
    grace = discord.Object(world.person("grace").id)
    async with running(world) as bot:
        thread = await bot.room("general").create_thread(name="private")
        assert thread.is_private()
        with pytest.raises(discord.NotFound) as unknown:
            await thread.fetch_member(grace.id)
        await thread.add_user(grace)
        assert {member.id for member in await thread.fetch_members()} == {world.bot.id, grace.id}
        await thread.remove_user(grace)
        await thread.leave()
        assert world.place(thread.id).thread is not None
        with pytest.raises(discord.Forbidden):
            await thread.send("from outside")
    assert unknown.value.code == 10007
    found = world.place(thread.id).thread
    assert found is not None
    assert found.members == {}


async def test_a_moderator_may_tidy_up(world: DiscordWorld) -> None:
    world.guild.bot_permissions |= (
        Permission.MANAGE_MESSAGES | Permission.MANAGE_THREADS | Permission.MANAGE_CHANNELS
    )
    ids = [await world.say("ada", "general", str(number)) for number in range(4)]
    await world.react("ada", "general", ids[3], "👍")
    async with running(world) as bot:
        room = bot.room("general")
        await room.delete_messages([discord.Object(message_id) for message_id in ids[:2]])
        await (await room.fetch_message(ids[2])).delete()
        last = await room.fetch_message(ids[3])
        assert [user.name async for user in last.reactions[0].users()] == ["ada"]
        await last.remove_reaction("👍", discord.Object(world.person("ada").id))
        await room.edit(topic="tidy")
        thread = await last.create_thread(name="untidy")
        await thread.delete()
        await bot.until(lambda: bot.deletions and "THREAD_DELETE" in bot.events)
        assert bot.room("general").topic == "tidy"
    assert [message.id for message in world.messages("general")] == [ids[3]]
    assert world.messages("general")[0].reactions == {}
    assert world.threads("general") == []


async def test_a_guild_that_the_bot_joins_later(world: DiscordWorld) -> None:
    async with running(world) as bot:
        second = world.add_guild("Second", boost_tier=3)
        world.add_channel(second, "lounge")
        world.add_forum(second, "ideas", tags=("big", "small"))
        await bot.until(lambda: discord.utils.get(bot.get_all_channels(), name="ideas"))
        joined = bot.get_guild(second.id)
        assert joined is not None
        assert joined.filesize_limit == 100 * 1024 * 1024
        assert [tag.name for tag in bot.forum("ideas").available_tags] == ["big", "small"]
        await bot.room("lounge").send("hello")
        assert [guild.name async for guild in bot.fetch_guilds()] == ["Playground", "Second"]
    assert [message.content for message in world.messages("lounge")] == ["hello"]
