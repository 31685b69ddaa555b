"""The form for an answer in words, for why an approval is declined, and for feedback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any

import discord
import structlog

from bridge.frontends.discord.errors import SDK_ERRORS
from bridge.frontends.discord.reading import custom_id
from bridge.render.discord import DISCORD
from bridge.turns.surface import Action, Button

log = structlog.get_logger()

TEXT = "words"  # the form's one input
MAX_TEXT = 4_000  # characters of a text input, Discord's limit
FORM_LIVES = 900.0  # seconds that discord.py remembers a form; it isn't needed for its submission
LOOK_WITHIN = 2.0  # seconds: a form can't be deferred, and Discord gives up on an interaction after 3

FORMS: dict[Action, tuple[str, str]] = {  # title, label of the input
    "answer": ("Your answer", "The agent reads what you write here"),
    "decline": ("Decline", "Why not? The agent and the thread are told"),
    "words": ("Your feedback", "What was good, or what was wrong?"),
}


async def open_form(interaction: discord.Interaction, action: Action, turn: str, refusal: Awaitable[str]) -> None:
    """Unless there is a reason against it, which the person is told. Whoever submits it is looked at again."""
    try:
        try:
            async with asyncio.timeout(LOOK_WITHIN):
                sentence = await refusal
        except TimeoutError:  # the database is slow
            sentence = ""
        if sentence:
            await interaction.response.send_message(DISCORD.escape(sentence), ephemeral=True)
            return
        await interaction.response.send_modal(_form(action, turn))
    except SDK_ERRORS as error:
        log.info("discord.form_not_opened", error=type(error).__name__)


def written(data: Mapping[str, Any]) -> str:
    """What was written into a form of ours."""
    return next((str(one.get("value") or "") for one in _inputs(data.get("components") or ())), "")


def _form(action: Action, turn: str) -> discord.ui.Modal:
    title, label = FORMS[action]
    form = discord.ui.Modal(title=title, custom_id=custom_id(Button(action, "", turn)), timeout=FORM_LIVES)
    words: discord.ui.TextInput[discord.ui.Modal] = discord.ui.TextInput(
        style=discord.TextStyle.paragraph,
        custom_id=TEXT,
        required=action in ("answer", "words"),
        max_length=MAX_TEXT,
    )
    form.add_item(discord.ui.Label(text=label, component=words))
    return form


def _inputs(components: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for one in components:
        if one.get("custom_id") == TEXT:
            yield one
        yield from _inputs(one.get("components") or ())
        if isinstance(one.get("component"), dict):
            yield from _inputs([one["component"]])
