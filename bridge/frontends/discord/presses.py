"""Buttons of ours: how they are shown, and what a press is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import discord
import structlog

from bridge.frontends.discord.errors import SDK_ERRORS
from bridge.frontends.discord.reading import custom_id
from bridge.render.characters import boundary, repair
from bridge.render.discord import DISCORD
from bridge.render.measure import utf16
from bridge.turns.inbox import Decision
from bridge.turns.surface import Button

log = structlog.get_logger()

ANSWER_WITHIN = 2.0  # seconds: Discord gives up on an interaction after 3
VIEW_LIVES = 900.0  # seconds that discord.py remembers it; the button works longer
MAX_BUTTONS = 25  # of one message: five rows
ROW = 5
MAX_LABEL = 80  # characters
MAX_TEXT = 2000  # UTF-16 units of one message

# Numbers of Discord's button styles.
PLAIN = 2
STYLES = {"stop": 4, "retry": 1, "abandon": 2, "choose": 1, "reask": 1}
# Buttons under every answer are small: an emoji without words, by action and value.
SMALL = {("again", ""): "🔄", ("rate", "good"): "👍", ("rate", "bad"): "👎", ("files", ""): "📎"}


def components(buttons: Sequence[Button]) -> list[dict[str, Any]]:
    """The rows of buttons of a message, as it is sent."""
    if len(buttons) > MAX_BUTTONS:
        log.warning("discord.buttons_left_out", count=len(buttons) - MAX_BUTTONS)
    shown = [
        {"type": 2, "style": STYLES.get(button.action, PLAIN), "custom_id": custom_id(button), **_face(button)}
        for button in buttons[:MAX_BUTTONS]
    ]
    return [{"type": 1, "components": shown[at : at + ROW]} for at in range(0, len(shown), ROW)]


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
        if decision.settled:
            await _settle(interaction, message, decision.settled)
        if decision.sentence:
            with_buttons: Any = {"view": _view(decision.buttons)} if decision.buttons else {}
            if interaction.response.is_done():
                await interaction.followup.send(decision.sentence, ephemeral=True, **with_buttons)
            else:
                await interaction.response.send_message(decision.sentence, ephemeral=True, **with_buttons)
        elif not interaction.response.is_done():
            await interaction.response.defer()
    except SDK_ERRORS as error:
        # Unknown or already answered (another process was quicker): the press itself is stored.
        log.info("discord.interaction_unanswered", error=type(error).__name__)


def _view(buttons: Sequence[Button]) -> discord.ui.View:
    """A press comes as every other's does, whether discord.py remembers the view or not."""
    view = discord.ui.View(timeout=VIEW_LIVES)
    for one in buttons:
        view.add_item(discord.ui.Button(label=_label(one), custom_id=custom_id(one)))
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
    return {"label": _label(button)} if emoji is None else {"emoji": {"name": emoji}}


def _label(button: Button) -> str:
    label = " ".join(repair(button.label).split()) or "…"
    if len(label) <= MAX_LABEL:
        return label
    return label[: boundary(label, MAX_LABEL - 1)].rstrip() + "…"
