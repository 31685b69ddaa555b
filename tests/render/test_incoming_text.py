import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.render.incoming import from_discord, from_slack
from bridge.render.markdown import RULE, Renderer
from bridge.render.slack import SLACK, slack_mrkdwn
from bridge.render.style import ZERO_WIDTH as Z
from tests.examples import examples

NAMES = {"U0BOT": "", "U1": "Ann", "C1": "general", "1": "", "2": "Bob", "3": "team", "4": "talk"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<@U0BOT> hello", "hello"),
        ("ask <@U0BOT> now", "ask now"),
        ("<@U1> and <@U9> and <@U8|eve>", "@Ann and @U9 and @eve"),
        ("<#C1> <#C2|random> <#C3>", "#general #random #C3"),
        ("<!here> <!channel> <!everyone|everyone>", "@here @channel everyone"),
        ("<!subteam^S1> <!subteam^S1|@devs>", "@group @devs"),
        ("<!date^1392734382^{date}|18 Feb 2014>", "18 Feb 2014"),
        ("<https://a.b/c?d=1&amp;e=2>", "https://a.b/c?d=1&e=2"),
        ("<https://a.b/x_y*z*|the *docs* [1]>", "[the *docs* \\[1\\]](https://a.b/x_y*z*)"),
        ("<https://a.b|https://a.b>", "https://a.b"),
        ("<mailto:a@b.c|a@b.c>", "a@b.c"),
        ("&lt;b&gt; &amp; &amp;lt; &lt;0&gt;", "<b> & &lt; <0>"),
        ("*bold* _it_ ~gone~ *two words*", "**bold** _it_ ~~gone~~ **two words**"),
        ("2*3*4 ~5 a~b", "2*3*4 ~5 a~b"),
        ("*see <https://a.b|this>*", "**see [this](https://a.b)**"),
        ("`*x* &lt;b&gt;` *y*", "`*x* <b>` **y**"),
        ("```a *b*\n&lt;c&gt;```", "```\na *b*\n<c>\n```"),
        ("• one\n    ◦ two", "- one\n    - two"),
        ("&gt; quoted\nnot", "> quoted\nnot"),
    ],
)
def test_from_slack(text: str, expected: str) -> None:
    assert from_slack(text, NAMES.get) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<@1> hello", "hello"),
        ("<@2> <@!2> <@9> <@&3> <#4>", "@Bob @Bob @9 @team #talk"),
        ("<:smile:5> <a:dance:6> :x:", ":smile: :dance: :x:"),
        ("<t:1700000000:R> <t:99999999999999>", "2023-11-14 22:13 UTC <t:99999999999999>"),
        ("<t:999999999999>", "999999999999"),
        ("</ask me:7> <id:customize>", "/ask me #customize"),
        ("`<@2>` ```\n<@2>\n``` ``<@2> ` `` <@2>", "`<@2>` ```\n<@2>\n``` ``<@2> ` `` @Bob"),
        ("**b** __u__ ||s||", "**b** __u__ ||s||"),
    ],
)
def test_from_discord(text: str, expected: str) -> None:
    assert from_discord(text, NAMES.get) == expected


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# Title **x**\n\ntext", "*Title x*\n\ntext"),
        ("**b** *i* ***bi*** ~~s~~ `c<`", "*b* _i_ _*bi*_ ~s~ `c&lt;`"),
        ("**강조**는", f"*강조*{Z}는"),
        ("a**b**c", f"a{Z}*b*{Z}c"),
        ("[l](http://a.b?c=1&d=2) ![i](http://a.b)", "<http://a.b?c=1&amp;d=2|l> <http://a.b|i>"),
        ("<http://a.b>", "<http://a.b|http://a.b>"),
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
        ("<!channel> @here", f"&lt;{Z}!channel&gt; @{Z}here"),
        ("- a\n- b\n  - c\n\n3. d\n4. e", "• a\n• b\n    • c\n\n3. d\n4. e"),
        ("> a\n> b\n>\n> c", "> a\n> b\n> \n> c"),
        ("```py\nx < 1\n```", "```\nx &lt; 1\n```"),
        ("| a | b |\n|---|---|\n| **1** | x<y |", "```\na   | b\n----|----\n1   | x&lt;y\n```"),
        ("a\n\n***\n\nb", f"a\n\n{RULE}\n\nb"),
        ("", ""),
    ],
)
def test_slack_mrkdwn(markdown: str, expected: str) -> None:
    assert slack_mrkdwn(markdown) == expected


def test_mrkdwn_of_a_rendered_reply_finds_emphasis_beside_letters() -> None:
    renderer = Renderer(SLACK)
    rendered = renderer.feed("**「강조」**는") + renderer.finish()
    assert slack_mrkdwn(rendered) == f"*「강조」{Z}*{Z}는"


@examples(60)
@given(st.text(alphabet="ab<>@!#|*_~`&; \n[]()", max_size=120))
def test_nothing_a_person_or_an_agent_writes_breaks_these(text: str) -> None:
    from_slack(text, NAMES.get)
    from_discord(text, NAMES.get)
    for tag in ("<@", "<!", "<#"):
        assert tag not in slack_mrkdwn(text)
