"""Commands by mention in a thread or a direct message: carried out, and answered by a reply that pings nobody.

Discord answers nobody privately but who used a command of its own. So a reply says no more than all may read, and a
file comes in a direct message.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import discord
import structlog

from bridge.commands import Given
from bridge.frontends.common.asking import Asking
from bridge.frontends.discord.bringing import NOT_DONE, bring_directly
from bridge.frontends.discord.calls import Calls, unguarded
from bridge.frontends.discord.commands import help_text, listed, shown
from bridge.frontends.discord.messages import person
from bridge.frontends.discord.reading import Spot
from bridge.frontends.discord.rest import Json, Rest
from bridge.frontends.discord.telling import SILENT, SUPPRESS_EMBEDS, never_raises, reply_to
from bridge.render.selection import split
from bridge.turns.inbox import Order
from bridge.turns.surface import Gone, Refused, SurfaceError

log = structlog.get_logger()

AT_ONCE = frozenset({"new", "agent", "stop", "retry", "status"})  # before what is written next

HOW_TO_UPLOAD = "Attach the files to a message here and say what to do with them, or type `/upload`."
BRINGING = "You get it in a direct message from me."
CLOSED = "I can't write to you directly. Type `/download` here: then you alone get it."


class SpokenCommands:
    """Of one front end."""

    def __init__(self, asking: Asking, calls: Calls) -> None:
        self._asking = asking
        self._calls = calls

    async def carry_out(
        self, client: discord.Client, message: discord.Message, spot: Spot, given: Given
    ) -> Coroutine[Any, Any, None] | None:
        """What changes the conversation is done when this returns; the rest is left to do. Raises what the inbox
        raises, also `NotAllowed`: a refusal isn't for all to read."""
        log.info("discord.command", command=given.command.name, channel=spot.channel)
        rest = Rest(client, self._calls, unguarded)
        name, selection = split(given.argument)
        order = Order(given.command.name, person(message.author), spot.address(spot.channel), name, selection)
        await self._asking.may_order(order)
        if order.name not in AT_ONCE:
            return self._later(rest, message, order)
        return _reply(rest, message, await self._asking.ordered(order))

    async def _later(self, rest: Rest, message: discord.Message, order: Order) -> None:
        try:
            sentence = await self._sentence(rest, message, order)
        except Exception as error:
            log.error("discord.command_failed", command=order.name, error=type(error).__name__)
            sentence = NOT_DONE
        await _reply(rest, message, sentence)

    async def _sentence(self, rest: Rest, message: discord.Message, order: Order) -> str:
        match order.name:
            case "help":
                return help_text()
            case "upload":
                return HOW_TO_UPLOAD
            case "files":
                return listed(await self._asking.files(order))
            case "download":
                try:
                    await bring_directly(self._asking, rest, order, f"d{message.id}")
                except (Gone, Refused) as error:
                    log.info("discord.file_not_brought", reason=str(error))
                    return CLOSED
                except SurfaceError as error:
                    log.warning("discord.file_not_brought", reason=str(error))
                    return NOT_DONE
                return BRINGING
            case _:
                return await self._asking.ordered(order)


async def _reply(rest: Rest, message: discord.Message, sentence: str) -> None:
    payload: Json = {
        "content": shown(sentence),
        "message_reference": reply_to(message.id),
        "nonce": f"c{message.id}",
        "enforce_nonce": True,
        "flags": SUPPRESS_EMBEDS | SILENT,  # no part of a reply
    }
    await never_raises("command", lambda: rest.send(message.channel.id, payload))
