"""What text can hide: characters that show nothing, mentions in any form, links that lead elsewhere."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.render.characters import repair
from bridge.render.discord import DISCORD
from bridge.render.markdown import Renderer
from bridge.render.slack import SLACK, slack_mrkdwn
from bridge.render.split import Splitter
from bridge.render.style import MENTION_HELD, ZERO_WIDTH, Dialect
from bridge.render.tables import preview
from tests.examples import examples

Z = ZERO_WIDTH
DIALECTS = [DISCORD, SLACK]
each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)

FORMS = {
    "slack": [
        *[
            "<!channel>",
            "<!here>",
            "<!everyone>",
            "<!channel|channel>",
            "<!subteam^S012ABC>",
            "<!subteam^S1|@devs>",
        ],
        *["<@U012ABC>", "<@W012ABC>", "<@U1|ann>", "<#C012ABC>", "<#C1|general>", "<!date^1^{date}|x>"],
        *["@channel", "@here", "@everyone", "@Channel", "<!HERE>"],
    ],
    "discord": [
        *[
            "@everyone",
            "@here",
            "@Everyone",
            "<@123>",
            "<@!123>",
            "<@&123>",
            "<#123>",
            "</ask:123>",
            "</ask me:1>",
        ],
        *["<id:guide>", "<id:customize>", "<id:browse>", "<:smile:123>", "<a:dance:123>", "<t:123:R>"],
    ],
}
PINGS = {
    "slack": re.compile(r"<!(?:channel|here|everyone|subteam)|<@[UW]|@(?:channel|here|everyone)", re.IGNORECASE),
    "discord": re.compile(r"<@[!&]?\d|@(?:everyone|here)", re.IGNORECASE),
}
ANY = {
    "slack": re.compile(r"<[!@#]|@(?:channel|here|everyone)", re.IGNORECASE),
    "discord": re.compile(r"<(?:[@#/:]|a:|t:|id:)|@(?:everyone|here)", re.IGNORECASE),
}
CASES = [(dialect, form) for dialect in DIALECTS for form in FORMS[dialect.name]]
each_form = pytest.mark.parametrize(("dialect", "form"), CASES, ids=[f"{d.name} {form}" for d, form in CASES])
INVISIBLE = [
    *[
        "\u200b",
        "\u200c",
        "\u200d",
        "\u2060",
        "\ufeff",
        "\u00ad",
        "\ufe0f",
        "\U000e0041",
        "\u202e",
        "\u2066",
        "\x07",
    ]
]


def rendered(text: str, dialect: Dialect, step: int = 1) -> str:
    renderer = Renderer(dialect)
    return "".join(renderer.feed(text[at : at + step]) for at in range(0, len(text), step)) + renderer.finish()


def shown(text: str) -> str:
    return text.replace(Z, "")


# --- mentions -----------------------------------------------------------------------------------------------


@each_form
def test_no_string_mentions_anybody_once_it_is_escaped(dialect: Dialect, form: str) -> None:
    for around in ("{}", "a{}b", "**{}**", "report {}.csv", "\\{}", "{}{}", "[{}](http://x.y)"):
        text = around.replace("{}", form)
        for harmless in (dialect.escape(text), dialect.literal(text)):
            assert ANY[dialect.name].search(harmless) is None
            assert ANY[dialect.name].search(rendered(harmless, dialect)) is None
        assert shown(dialect.escape(text)) == text
        assert dialect.escape(dialect.escape(text)) == dialect.escape(text)


AROUND = [
    *["{}", "**{}**", "> {}", "- {}", "# {}", "#### {}", "[{}](http://x.y)", "[x]({})", "[x](http://x.y/{})"],
    *["https://x.y/{}", "\\{}", "~~{}~~", "_{}_", "| {} | b |\n|---|---|\n| {} | [l](http://x.y) |", "||{}||"],
]


@each_form
def test_no_mention_in_a_reply(dialect: Dialect, form: str) -> None:
    for around in AROUND:
        for step in (1, 3, 1_000):
            out = rendered(around.replace("{}", form), dialect, step)
            assert ANY[dialect.name].search(out) is None
            if dialect is SLACK:
                assert ANY["slack"].search(slack_mrkdwn(out)) is None


@each_form
def test_no_ping_in_code(dialect: Dialect, form: str) -> None:
    assert PINGS[dialect.name].search(dialect.code(form)) is None
    for around in ("`{}`", "``{} ` ``", "```{}```", "```\n{}\n```", "```\nx{}", "~~~\n{} {}\n~~~"):
        for step in (1, 3, 1_000):
            out = rendered(around.replace("{}", form), dialect, step)
            assert PINGS[dialect.name].search(out) is None
            assert form in shown(out)
            table = rendered(f"| a | b |\n|---|---|\n| {form} | `{form}` |", dialect, step)
            assert PINGS[dialect.name].search(table) is None


@each_dialect
def test_code_that_pings_nobody_stays_as_it_is(dialect: Dialect) -> None:
    code = "<!-- c --> </div> <a:b> <#if> #include <a> List<A> a@b.c <!DOCTYPE html> @Override"
    assert rendered(f"```\n{code}\n```", dialect) == f"```\n{code}\n```"


@each_dialect
def test_a_ping_isn_t_hidden_where_a_long_line_of_code_is_cut(dialect: Dialect) -> None:
    for before in range(1_980, 2_005):
        for form in ("@everyone", "<!everyone>", "<@123>"):
            out = rendered(f"```\n{'x' * before}{form}{'y' * 3_000}\n```", dialect, step=999)
            assert PINGS[dialect.name].search(out) is None
            assert f"x{form}y" in shown(out)


@each_form
def test_the_longest_look_ahead_is_enough(dialect: Dialect, form: str) -> None:
    for pattern in (dialect.mentions, dialect.pings):
        for at in range(len(form)):
            assert bool(pattern.match(form, at)) == bool(pattern.match(form, at, at + MENTION_HELD))


@each_form
def test_no_mention_where_a_part_ends(dialect: Dialect, form: str) -> None:
    for before in range(50, 75):
        splitter = Splitter(64)
        splitter.feed(rendered(f"{'w' * before}{form} and {form} `{form}`", dialect))
        splitter.finish()
        for part in splitter.parts:
            assert PINGS[dialect.name].search(part.text) is None


@each_form
def test_no_mention_in_a_preview(dialect: Dialect, form: str) -> None:
    for count in (1, 9, 30):
        text = preview([form] * count, [(form,) * count] * 2, dialect, title=form, limit=4_000)
        assert PINGS[dialect.name].search(text) is None


@each_form
def test_nothing_invisible_hides_a_mention(dialect: Dialect, form: str) -> None:
    """What is left when a platform drops what shows nothing, but for the character of our own, is no mention."""
    dropped = dict.fromkeys(map(ord, INVISIBLE[1:]))
    for hidden in INVISIBLE:
        for text in (hidden.join(form), f"{form[0]}{hidden * 3}{form[1:]}", f"é{hidden}{form}"):
            for step in (1, 2, 1_000):
                for out in (rendered(text, dialect, step), dialect.escape(text), dialect.literal(text)):
                    assert ANY[dialect.name].search(out.translate(dropped)) is None
                code = rendered(f"`{text}`", dialect, step).translate(dropped)
                assert PINGS[dialect.name].search(code) is None


@examples(100)
@given(
    st.lists(st.sampled_from([*FORMS["slack"], *FORMS["discord"], *INVISIBLE, *"<>@!#&/:`*_\\ \n"])).map("".join),
    st.sampled_from(DIALECTS),
)
def test_no_mix_of_them_mentions_anybody(text: str, dialect: Dialect) -> None:
    assert ANY[dialect.name].search(dialect.escape(text)) is None
    assert ANY[dialect.name].search(dialect.literal(text)) is None
    assert PINGS[dialect.name].search(rendered(text, dialect)) is None


def test_a_name_is_shown_as_it_stands() -> None:
    assert SLACK.literal("a *b* [c](http://d)\n# e`") == "a \\*b\\* \\[c\\](http://d) \\# e\\`"


# --- characters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\x00b", "a\ufffdb"),
        ("a\x1b[31mb\x07\x08\x7f\x9b", "a[31mb"),
        ("a\x0bb\x0cc\x85d\u2028e\u2029f", "a\nb\nc\nd\ne\nf"),
        ("gpj.\u202eexe\u202c", "gpj.exe"),
        ("\u2066a\u2069 \u202ab", "a b"),
        ("\ufeffa", "a"),
        ("a\u200bb\u200c\u200d\u2060c", "abc"),
        ("\u200b# a\n\u200d> b", "# a\n> b"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        (
            "👩\u200d💻 ❤\ufe0f 🏴\U000e0067\U000e0062\U000e007f",
            "👩\u200d💻 ❤\ufe0f 🏴\U000e0067\U000e0062\U000e007f",
        ),
        ("1\ufe0f\u20e3 #\ufe0f\u20e3", "1\ufe0f\u20e3 #\ufe0f\u20e3"),
        ("葛\U000e0100", "葛\U000e0100"),
        ("ไทย\u200bไทย", "ไทย\u200bไทย"),
        ("tab\tand\nline", "tab\tand\nline"),
    ],
    ids=ascii,
)
@each_dialect
def test_what_is_taken_out_of_a_text(dialect: Dialect, text: str, left: str) -> None:
    assert repair(text) == left
    assert rendered(text, dialect, 1) == rendered(text, dialect, 1_000) == rendered(left, dialect)


@examples(100)
@given(
    st.lists(st.sampled_from([*INVISIBLE, "a", "1", "#", "é", "한", "👩", "\n", "\r", "\ud83d", "\ude00"])).map(
        "".join
    ),
    st.integers(1, 7),
)
def test_repair_does_not_depend_on_the_chunks(text: str, step: int) -> None:
    whole = rendered(text, DISCORD, len(text) or 1)
    assert rendered(text, DISCORD, step) == whole
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]", whole)


# --- links --------------------------------------------------------------------------------------------------

EVIL = "https://evil.example/x"


@pytest.mark.parametrize(
    "label",
    [
        *[
            "https://bank.com",
            "http://bank.com/login",
            "www.bank.com",
            "bank.com",
            "BANK.COM/login",
            "**bank.com**",
        ],
        *[
            "`bank.com`",
            " bank.com ",
            "login.bank.de",
            "bank.co.uk/a?b=c",
            "ann@bank.com",
            "bank.com.",
            "bank。com",
        ],
        *["see https://bank.com", "Log in at bank.com now", "ｈｔｔｐｓ：//bank.com", "b\u00adank.com", "банк.рф"],
        *[
            "evil.example.com",
            "xevil.example",
            "bank.com:443",
            "https:/\u200b/bank.com",
            "_bank_.com",
            "install.sh",
        ],
    ],
)
@each_dialect
def test_a_link_that_claims_another_address_is_taken_apart(dialect: Dialect, label: str) -> None:
    out = rendered(f"go [{label}]({EVIL}) on", dialect)
    assert "](" not in out
    assert f"({EVIL})" in out


@pytest.mark.parametrize(
    ("label", "target"),
    [
        *[("the docs", EVIL), ("evil.example", EVIL), ("Evil.Example/x", EVIL), ("Node.js", "https://nodejs.org")],
        *[
            ("report.csv", "https://a.b/download?id=1"),
            ("README.md", "https://github.com/a/b/blob/main/README.md"),
        ],
        *[("v1.2.3", EVIL), ("e.g. this", EVIL), ("Ph.D. thesis", EVIL), ("at 10:30", EVIL), ("1.5", EVIL)],
        *[("example.com", "https://www.example.com/a"), ("GitHub.com docs", "https://docs.github.com/")],
    ],
)
@each_dialect
def test_an_honest_link_stays(dialect: Dialect, label: str, target: str) -> None:
    assert rendered(f"[{label}]({target})", dialect) == f"[{label}]({target})"


def test_an_address_of_a_person_stays_a_link_on_slack() -> None:
    assert rendered("[ann@bank.com](mailto:ann@bank.com)", SLACK) == "[ann@bank.com](mailto:ann@bank.com)"
    assert rendered("[ann@bank.com](mailto:eve@evil.com)", SLACK) == "ann@bank.com (mailto:eve@evil.com)"


def test_the_host_of_a_target_is_what_follows_the_person() -> None:
    out = rendered("[bank.com](https://bank.com@evil.example/)", DISCORD)
    assert out == "bank.com (https://bank.com@evil.example/)"
