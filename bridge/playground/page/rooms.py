"""The playground's channels: one for each kind of agent, what it can do, and what to try there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """`prompts` begin a thread, `follow_ups` go on in it: words that the simulated agents know."""

    about: str
    prompts: tuple[str, ...]
    follow_ups: tuple[str, ...] = ("What did I ask before?", "Show me a table")
    agent: str = ""  # "": the one of the room's name
    free: bool = False  # no mention is needed


@dataclass(frozen=True, slots=True)
class Scene:
    """What somebody else writes, with a file, for a visitor to look at first."""

    channel: str
    person: str
    text: str
    files: tuple[tuple[str, str, bytes], ...]  # name, media type, content


HELLO = "Hello! What can you do?"
SLOW = "Tell me slowly how you go about it"
CHART = "Make a chart and a table of the sales"
LEAVE = "Send the letters as soon as I approve"

ORDERS = b"""week,orders,revenue
W36,412,18540
W37,398,17912
W38,467,21015
W39,521,23445
W40,498,22410
W41,604,27180
W42,587,26415
W43,663,29835
"""
OPENING = Scene(
    "openai",
    "grace",
    "@threadbridge these are our orders. A chart and a table, please",
    (("orders.csv", "text/csv", ORDERS),),
)

ROOMS = {
    "general": Room(
        "The echo agent lives in the bridge. It says back what it hears and makes what you tell it to: "
        "files, tables, charts, long answers, steps, sources, questions, approvals and failures.",
        (
            "Write something long 2500",
            "Make a file chart.png and a table 8",
            "Say this slow 12: one, two, three, and I am in no hurry",
            "Please ask me something",
            "Please approve painting the house",
            "Think in steps 4, name your sources and draw a chart bar",
            "Please fail late",
        ),
        ("And now a table 5", "Make a file numbers.csv"),
    ),
    "toqan": Room(
        "Toqan answers when it is asked again and again whether it is done. It reads files and makes some.",
        (HELLO, "Write a report", "Make a csv of the sales", SLOW),
    ),
    "sema4ai": Room(
        "A Sema4.ai agent streams its words, reads and makes files, and has data frames.",
        (HELLO, "Show me a table and make a csv", "Write a report", SLOW),
    ),
    "enthusiast": Room(
        "Enthusiast works on a question as a task that is looked after. It reads text, PDF and pictures.",
        (HELLO, "Show me a table", SLOW),
    ),
    "agentok": Room(
        "Agentok Studio runs a team of agents, which may ask you back before it goes on.",
        ("Please ask me before you plan the year", HELLO, SLOW),
        ("Show me a table",),
    ),
    "fifthelement": Room(
        "fifthelement.ai streams from the second question on; the first one begins the conversation.",
        (HELLO, "Show me a table", SLOW),
    ),
    "openai": Room(
        "Any server that speaks OpenAI's Responses API or Chat Completions: streamed, with files; it may ask leave.",
        (CHART, LEAVE, HELLO, "Write a report", SLOW),
    ),
    "a2a": Room(
        "Any agent that speaks Agent2Agent, by its SDK: streamed, with files, and it may ask back or for leave.",
        (HELLO, "Please ask me first", LEAVE, CHART, SLOW),
    ),
}

TALK, ALERTS, BUSY = "one-talk", "alerts", "busy"
# Channels of the default agent, with routes that say when and how it speaks.
WAYS = {
    TALK: Room(
        "Every message here is asked, without a mention, and answered in the channel itself: one conversation of all.",
        ("Good morning, everybody", "Make a table 4"),
        agent="general",
        free=True,
    ),
    ALERTS: Room(
        "A monitoring service writes here. Its bot is trusted, so the agent takes each alert up in a thread; "
        "“An alert arrives”, under “Break something”, has one come. Other bots aren't heard.",
        ("What do you do with an alert?",),
        ("What should I look at first?",),
        agent="general",
    ),
    BUSY: Room(
        "Write on while the agent works: what waits shows it by an hourglass, and is then asked together, as one.",
        ("Say this slow 15: one, two, three",),
        ("And a table 3", "And a chart bar", "And be brief"),
        agent="general",
    ),
}

DIRECT = Room(
    "A direct message needs no mention: just write. It is answered by the default agent.",
    ("Hello!", "Write something long 1500", "Make a file hello.csv"),
    ("And now a table 5",),
)


def own_room(kind: str) -> Room:
    """For an agent of the visitor's own settings, of whom only the kind is known."""
    return Room(f"Your own agent, of the kind {kind}: what you write here goes to its real service.", (HELLO,), ())
