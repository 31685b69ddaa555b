"""What a message of Discord says outside its content, in Markdown: embeds, as alerts come in; polls; and the title
and tags of a forum post, whose title often is the question."""

from __future__ import annotations

from collections.abc import Iterable

import discord

MAX_CARD = 6_000  # characters: Discord's limit for all embeds of a message together


def embed_text(embed: discord.Embed) -> str:
    """Everything in an embed that has words."""
    title = f"[{embed.title}]({embed.url})" if embed.title and embed.url else embed.title or embed.url
    return _lines(
        embed.author.name,
        f"**{title}**" if title else None,
        embed.description,
        *(f"{field.name}: {field.value}" for field in embed.fields),
        embed.footer.text,
    )


def poll_text(poll: discord.Poll) -> str:
    """The question, the answers, and how many gave them once anyone did."""
    return _lines(f"**{poll.question}**", *(_answer(answer) for answer in poll.answers))


def post_text(message: discord.Message) -> str:
    """What a forum post is called and filed under, for its first message; "" for any other."""
    post = message.channel
    if not isinstance(post, discord.Thread) or message.id != post.id:
        return ""
    tags = ", ".join(tag.name for tag in post.applied_tags)
    return _lines(f"# {post.name}", tags and f"({tags})")


def _answer(answer: discord.PollAnswer) -> str:
    votes = f" ({answer.vote_count})" if answer.vote_count else ""
    return f"- {answer.emoji or ''} {answer.text or ''}".replace("-  ", "- ").rstrip() + votes


def _lines(*lines: str | None) -> str:
    return _within("\n".join(_stripped(lines)))


def _stripped(lines: Iterable[str | None]) -> Iterable[str]:
    return filter(None, ((line or "").strip() for line in lines))


def _within(text: str) -> str:
    return text if len(text) <= MAX_CARD else text[: MAX_CARD - 1] + "…"
