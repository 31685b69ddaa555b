"""Buttons of ours: how they are shown, and what a press is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import discord
import structlog

from bridge.frontends.discord.errors import SDK_ERRORS
from bridge.frontends.discord.reading import SELECTED, custom_id
from bridge.render.characters import boundary, repair
from bridge.render.discord import DISCORD
from bridge.render.measure import utf16
from bridge.turns.inbox import Decision
from bridge.turns.surface import Action, Button

log = structlog.get_logger()

ANSWER_WITHIN = 2.0  # seconds: Discord gives up on an interaction after 3
VIEW_LIVES = 900.0  # seconds that discord.py remembers it; the button works longer
MAX_BUTTONS = 25  # of one message: five rows
ROW = 5
MAX_LABEL = 80  # characters
MAX_TEXT = 2000  # UTF-16 units of one message

# Numbers of Discord's button styles.
STYLES: dict[Action, int] = {
    "stop": 4, "retry": 1, "abandon": 2, "choose": 1, "answer": 2, "approve": 3, "decline": 4, "reask": 1,
    "again": 2, "rate": 2, "words": 2, "files": 2,
}  # fmt: skip
# What stands under every answer is small: an emoji without words, by action and value.
SMALL: dict[tuple[Action, str], str] = {
    ("again", ""): "🔄", ("rate", "good"): "👍", ("rate", "bad"): "👎", ("files", ""): "📎"
}  # fmt: skip
MAX_CHOICE_BUTTONS = 5  # more are a select
MAX_OPTIONS = 25  # of a select, Discord's limits
MAX_OPTION = 100  # characters


def components(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    """The rows of buttons of a message, as it is sent."""
    choices = [button for button in buttons if button.action == "choose"]
    if len(choices) > MAX_CHOICE_BUTTONS:
        select = {"type": 1, "components": [_select(choices[:MAX_OPTIONS])]}
        return [select, *components([button for button in buttons if button.action != "choose"])]
    if len(buttons) > MAX_BUTTONS:
        log.warning("discord.buttons_left_out", count=len(buttons) - MAX_BUTTONS)
    shown = [
        {"type": 2, "style": STYLES[button.action], "custom_id": custom_id(button), **_face(button)}
        for button in buttons[:MAX_BUTTONS]
    ]
    return [{"type": 1, "components": shown[at : at + ROW]} for at in range(0, len(shown), ROW)]


def _select(choices: Sequence[Button]) -> dict[str, Any]:
    return {
        "type": 3,
        "custom_id": custom_id(replace(choices[0], value=SELECTED)),
        "placeholder": "Choose…",
        "options": [{"label": _label(one, MAX_OPTION), "value": one.value} for one in choices],
    }


def settled(content: str, line: str) -> str | None:
    """A message's text with what was decided below it, in small print; None where it has no room for that."""
    line = DISCORD.escape(discord.utils.escape_markdown(" ".join(repair(line).split())))
    text = f"{content}\n-# {line}".lstrip("\n")
    return text if utf16(text) <= MAX_TEXT else None


async def answer(
    interaction: discord.Interaction, message: discord.Message, pressing: asyncio.Task[Decision]
) -> None:
    """Acknowledge once the press is stored, or just before Discord gives up. What it came to takes the place of
    the buttons, for all to read; the sentence is for the one person."""
    try:
        await asyncio.wait([pressing], timeout=ANSWER_WITHIN)
        if not pressing.done():
            await interaction.response.defer()
        decision = await pressing
        sentence = DISCORD.escape(decision.sentence)
        if decision.settled:
            await _settle(interaction, message, decision.settled)
        if sentence:
            with_buttons: Any = {"view": _view(decision.buttons)} if decision.buttons else {}
            if interaction.response.is_done():
                await interaction.followup.send(sentence, ephemeral=True, **with_buttons)
            else:
                await interaction.response.send_message(sentence, ephemeral=True, **with_buttons)
        elif not interaction.response.is_done():
            await interaction.response.defer()
    except SDK_ERRORS as error:
        # Unknown or already answered (another process was quicker): the press itself is stored.
        log.info("discord.interaction_unanswered", error=type(error).__name__)


def _view(buttons: Sequence[Button]) -> discord.ui.View:
    """A press comes as every other's does, whether discord.py remembers the view or not."""
    view = discord.ui.View(timeout=VIEW_LIVES)
    for one in buttons:
        view.add_item(discord.ui.Button(label=_label(one, MAX_LABEL), custom_id=custom_id(one)))
    return view


async def _settle(interaction: discord.Interaction, message: discord.Message, line: str) -> None:
    text = settled(message.content, line)
    content = message.content if text is None else text
    if interaction.response.is_done():
        await interaction.edit_original_response(content=content, view=None)
    else:
        await interaction.response.edit_message(content=content, view=None)
    if text is None:  # no room in it: below it
        await interaction.followup.send(settled("", line) or "")


def _face(button: Button) -> dict[str, Any]:
    emoji = SMALL.get((button.action, button.value))
    return {"label": _label(button, MAX_LABEL)} if emoji is None else {"emoji": {"name": emoji}}


def _label(button: Button, most: int) -> str:
    label = " ".join(repair(button.label).split()) or "…"
    if len(label) <= most:
        return label
    return label[: boundary(label, most - 1)].rstrip() + "…"
