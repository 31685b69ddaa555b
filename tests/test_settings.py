"""Settings: every source, and a sentence with its place for every mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from bridge.agents import make_agent
from bridge.inbound import Address
from bridge.listening import Listening
from bridge.settings import SettingsError, load
from bridge.turns.links import Linked
from bridge.turns.person import Telling

GOOD = """
database_url = "sqlite:///x.db"
default_agent = "support"

[slack]
bot_token = "xoxb-1"
app_token = "xapp-1"

[agents.support]
kind = "echo"

[agents.sales]
kind = "toqan"
api_key = "sk_1"
deadline = 60

[[routes]]
platform = "slack"
channel = "C0123"
agent = "sales"
"""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("THREADBRIDGE_", "SLACK_", "DISCORD_", "DATABASE_URL")):
            monkeypatch.delenv(name)


def write(folder: Path, text: str) -> Path:
    path = folder / "threadbridge.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    settings = load(write(tmp_path, GOOD))
    assert settings.slack is not None
    assert settings.slack.mode == "socket"
    assert settings.agents["sales"].deadline == 60
    assert settings.agents["sales"].rest == {"api_key": "sk_1"}


@pytest.mark.parametrize(
    ("address", "agent"),
    [
        (Address("slack", "T", "C0123", "1.0"), "sales"),
        (Address("slack", "T", "C9", "1.0"), "support"),
        (Address("discord", "G", "C0123", "1"), "support"),
    ],
)
def test_the_first_route_that_matches_names_the_agent(tmp_path: Path, address: Address, agent: str) -> None:
    assert load(write(tmp_path, GOOD)).agent_for(address) == agent


def test_a_service_that_writes_voice_notes_down(tmp_path: Path) -> None:
    assert load(write(tmp_path, GOOD)).transcription is None
    table = '[transcription]\nbase_url = "https://ears.example/v1"\nmodel = "whisper-1"\napi_key = "sk_ears"\n'
    settings = load(write(tmp_path, GOOD + table))
    assert settings.transcription is not None
    assert settings.transcription.language == ""
    assert "sk_ears" not in repr(settings)


def test_the_agents_that_people_may_choose(tmp_path: Path) -> None:
    routed = GOOD.replace('agent = "sales"', 'agent = "sales"\nchoices = ["support"]')
    settings = load(write(tmp_path, f'choices = ["sales", "support"]\n{routed}'))
    assert settings.choices_at(Address("slack", "T", "C0123", "1.0")) == ["sales", "support"]
    assert settings.choices_at(Address("slack", "T", "C9", "1.0")) == ["support", "sales"]
    assert load(write(tmp_path, GOOD)).choices_at(Address("slack", "T", "C9", "1.0")) == ["support"]


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADBRIDGE_SLACK__BOT_TOKEN", "xoxb-env")
    monkeypatch.setenv("THREADBRIDGE_HTTP__PORT", "9999")
    settings = load(write(tmp_path, GOOD))
    assert settings.slack is not None
    assert settings.slack.bot_token is not None
    assert settings.slack.bot_token.get_secret_value() == "xoxb-env"
    assert settings.slack.app_token is not None, "a table is merged, not replaced"
    assert settings.http.port == 9999


def test_the_platforms_own_names_are_read(tmp_path: Path) -> None:
    environment = {"SLACK_BOT_TOKEN": "xoxb-2", "SLACK_APP_TOKEN": "xapp-2", "DISCORD_TOKEN": "abc.def.ghi"}
    settings = load(write(tmp_path, '[agents.a]\nkind = "echo"\n'), environment)
    assert settings.slack is not None
    assert settings.slack.bot_token is not None
    assert settings.slack.bot_token.get_secret_value() == "xoxb-2"
    assert settings.discord is not None
    assert settings.discord.token.get_secret_value() == "abc.def.ghi"


def test_the_file_can_be_named_by_the_environment(tmp_path: Path) -> None:
    assert load(None, {"THREADBRIDGE_CONFIG": str(write(tmp_path, GOOD))}).default_agent == "support"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[slack\nbot_token = "x"', "isn't valid TOML"),
        (f'{GOOD}[transcription]\nbase_url = "https://x"', "transcription.model is missing"),
        (f'{GOOD}[transcription]\nbase_url = "x"\nmodel = "m"', "transcription.base_url: must be an address"),
        (
            f'{GOOD}[transcription]\nbase_url = "https://x"\nmodel = "m"\nkey = "k"',
            "unknown key transcription.key",
        ),
        (GOOD.replace("bot_token", "bot_tokn"), "unknown key slack.bot_tokn; did you mean 'bot_token'?"),
        (GOOD.replace("[slack]", '[slack]\nmode = "sokket"'), "slack.mode must be 'socket' or 'http'"),
        (GOOD.replace('"xoxb-1"', '"nope"'), 'slack.bot_token: the bot token begins with "xoxb-"'),
        (GOOD.replace('kind = "echo"', ""), "agents.support.kind is missing"),
        (GOOD.replace('default_agent = "support"', 'default_agent = "suport"'), "did you mean 'support'?"),
        (GOOD.replace('agent = "sales"', 'agent = "nobody"'), "routes\\[0\\].agent names the agent 'nobody'"),
        (
            GOOD.replace('agent = "sales"', 'agent = "sales"\nchoices = ["nobody"]'),
            "routes\\[0\\].choices\\[0\\] names",
        ),
        (f'choices = ["suport"]\n{GOOD}', "choices\\[0\\] names the agent 'suport'"),
        (GOOD + "\n[http]\nport = 99999\n", "http.port must be 65535 or less"),
        (GOOD + '\n[http]\nport = "many"\n', "http.port must be a whole number"),
        (GOOD + "\n[http]\nport = -1\n", "http.port must be 0 or more"),
        (GOOD + '\n[http]\ntoken = "short"\n', "http.token: needs 20 characters or more"),
        (GOOD + '\n[http]\ntoken = "a token with spaces in it"\n', "http.token: may hold no spaces"),
        (GOOD + '\n[http]\nspeak = ["#general"]\n', "http.speak: '#general' is no place"),
        (GOOD + '\n[http]\nspeak = "slack:C0123"\n', "http.speak must be a list"),
        (GOOD + '\n[http]\npublic_url = "bridge"\n', 'http.public_url: must be an address as "https://'),
        (GOOD + '\n[http]\npublic_url = "http://bridge.example.com"\n', "http.public_url: must be an address"),
        (GOOD + '\n[http]\nlink_key = "hunter2"\n', "http.link_key: needs 32 bytes or more, as `openssl"),
        (GOOD + f'\n[http]\nlink_key = "{"k" * 32}"\n', "http: link_key signs links, and they need public_url"),
        (GOOD + "\n[http]\nlink_hours = 0\n", "http.link_hours must be more than 0"),
        (
            GOOD.replace('agent = "sales"', 'agent = "sales"\nchanel = "C1"'),
            r"routes\[0\].chanel; did you mean 'channel'?",
        ),
        (GOOD.replace("[slack]", "[slack]\napi_url = 3"), "slack.api_url must be text in quotes"),
        (GOOD.replace("deadline = 60", "deadline = 0"), "agents.sales.deadline must be more than 0"),
        ("slack = 3\n" + GOOD.partition("[slack]")[0], "slack must be a table of keys and values"),
        ("routes = 3\n" + GOOD.partition("[[routes]]")[0], "routes must be a list"),
        (GOOD + "\n[htp]\nport = 1\n", "unknown key htp; did you mean 'http'?"),
        (
            GOOD.replace("deadline = 60", 'person = "all"'),
            "agents.sales.person must be 'full', 'id' or 'none'",
        ),
        (
            GOOD.replace("deadline = 60", 'person_key = "hunter2"'),
            "agents.sales.person_key: needs 32 bytes or more, as `openssl rand -hex 32` makes them",
        ),
        (
            GOOD.replace("deadline = 60", f'person = "none"\nperson_key = "{"k" * 32}"'),
            'agents.sales: person_key signs who asks, and with person = "none" nobody is told of',
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        load(write(tmp_path, text))
    assert "threadbridge.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("THREADBRIDGE_HTTP__PORT", "70000", "THREADBRIDGE_HTTP__PORT: http.port must be 65535 or less"),
        ("SLACK_BOT_TOKEN", "hunter2", "SLACK_BOT_TOKEN: slack.bot_token: the bot token begins"),
    ],
)
def test_a_mistake_in_the_environment_names_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=sentence) as caught:
        load(write(tmp_path, GOOD))
    assert "hunter2" not in str(caught.value)


def test_without_any_settings_it_is_said_where_they_were_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"there is no threadbridge.toml in .*threadbridge init"):
        load()
    monkeypatch.setenv("THREADBRIDGE_DATABASE_URL", "sqlite:///y.db")
    assert load().database_url.get_secret_value() == "sqlite:///y.db", "the environment alone is enough"


def test_a_secret_never_stands_in_a_message(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(write(tmp_path, GOOD.replace('"xoxb-1"', '"hunter2"')))
    assert "hunter2" not in str(caught.value)
    assert "xoxb-1" not in repr(load(write(tmp_path, GOOD)))


def test_a_file_that_isnt_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="doesn't exist"):
        load(tmp_path / "nothing.toml")


def test_what_an_agent_is_told_of_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "é" * 16  # bytes count, not characters
    monkeypatch.setenv("THREADBRIDGE_AGENTS__SIGNED__PERSON_KEY", key)
    tables = '[agents.plain]\nkind = "echo"\n[agents.signed]\nkind = "echo"\nperson = "full"\n'
    settings = load(write(tmp_path, tables))
    plain, signed = (table.telling(name) for name, table in settings.agents.items())
    assert plain == Telling("plain", "id", None)
    assert signed == Telling("signed", "full", SecretStr(key))
    assert key not in repr(settings)
    assert settings.agents["signed"].rest == {}, "the adapter doesn't see it"


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('kind = "tokan"', "agents.a.kind is 'tokan'; known are .*toqan"),
        ('kind = "toqan"', "agents.a.api_key is missing"),
        ('kind = "toqan"\napi_key = "k"\napi_kye = "k"', "agents.a.api_kye is unknown; did you mean 'api_key'"),
        (
            'kind = "sema4ai"\nbase_url = 3\nagent_id = 4',
            "a.base_url must be text in quotes; .*agent_id must",
        ),
    ],
)
async def test_an_agents_mistake_is_said_with_what_its_kind_takes(
    tmp_path: Path, table: str, sentence: str
) -> None:
    import httpx

    settings = load(write(tmp_path, f"[agents.a]\n{table}\n"))
    async with httpx.AsyncClient() as client:
        with pytest.raises(SettingsError, match=sentence):
            make_agent("a", settings.agents["a"], client)


PROMPTS = """
[agents.support]
kind = "echo"
prompts = [{prompts}]

[agents.sales]
kind = "echo"

[[routes]]
channel = "C0123"
agent = "sales"
"""


def test_an_agents_prompts_are_texts_or_have_a_title(tmp_path: Path) -> None:
    long = "How are sales in each of our regions, and how were they in the year before that, by month?"
    given = f'"{long}", {{ title = "Sales", message = "How are sales?" }}'
    settings = load(write(tmp_path, PROMPTS.replace("{prompts}", given)))
    first, second = settings.prompts_at(Address("slack", "T1", "D1", ""))
    assert (first.message, len(first.title), first.title[-1]) == (long, 75, "…")
    assert (second.title, second.message) == ("Sales", "How are sales?")
    assert settings.prompts_at(Address("slack", "T1", "C0123", "")) == []
    assert list(settings.default_prompts) == [first, second]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('"1", "2", "3", "4", "5"', "agents.support.prompts may have 4 entries at most"),
        ('""', "agents.support.prompts[0].title must have 1 characters or more"),
        ('{ title = "x" }', "agents.support.prompts[0].message is missing"),
        ('{ title = "x", message = "y", text = "z" }', "unknown key agents.support.prompts[0].text"),
    ],
)
def test_a_wrong_prompt_is_said_with_its_place(tmp_path: Path, given: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(write(tmp_path, PROMPTS.replace("{prompts}", given)))
    assert said in str(caught.value)


def test_links_are_switched_on_by_their_key(tmp_path: Path) -> None:
    assert load(write(tmp_path, GOOD), {}).http.links is None
    switched_on = (
        f'{GOOD}\n[http]\npublic_url = "http://localhost:3000/"\nlink_key = "{"k" * 32}"\nlink_hours = 2\n'
    )
    links = load(write(tmp_path, switched_on), {}).http.links
    assert links is not None
    assert links.hours == 2
    assert (links.url(Linked("support", "conv", "ref", "a.txt")) or "").startswith("http://localhost:3000/files/")


def test_who_may_decide_what_an_agent_wants_leave_for(tmp_path: Path) -> None:
    people = GOOD.replace("deadline = 60", 'deadline = 60\napprovers = ["slack:U1", "discord:7"]')
    settings = load(write(tmp_path, people))
    assert settings.agents["sales"].approvers == ("slack:U1", "discord:7")
    assert settings.limits.approval_hours == 24
    wrong = GOOD.replace("deadline = 60", 'deadline = 60\napprovers = ["Ann"]')
    with pytest.raises(SettingsError, match="'Ann' isn't a person"):
        load(write(tmp_path, wrong))


def test_a_route_says_when_the_bot_speaks(tmp_path: Path) -> None:
    more = 'listen = "all"\nflat = true\nbots = ["B0ALERTS"]\nbusy = "steer"\n'
    settings = load(write(tmp_path, GOOD + more))
    here, elsewhere = Address("slack", "T1", "C0123", "1.0"), Address("discord", "1", "2", "3")
    assert settings.listening_at(here) == Listening("all", flat=True, bots=frozenset({"B0ALERTS"}))
    assert settings.busy_at(here) == "steer"
    assert settings.listening_at(elsewhere) == Listening()
    assert settings.busy_at(elsewhere) == "queue"
    assert settings.trusted_bots("slack") == {"B0ALERTS"}
    assert not settings.trusted_bots("discord")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ('listen = "always"', "routes[0].listen must be 'mention', 'follow' or 'all'"),
        ('busy = "drop"', "routes[0].busy must be 'queue', 'steer' or 'interrupt'"),
        ('bots = ["<@B1>"]', "routes[0].bots[0]"),
        ('flat = "yes please"', "routes[0].flat must be true or false"),
    ],
)
def test_a_wrong_word_of_a_route_is_named_with_its_place(tmp_path: Path, key: str, said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        load(write(tmp_path, GOOD + key + "\n"))
