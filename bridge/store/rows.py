"""What both sides of the queue use within a transaction."""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from bridge.inbound import Address
from bridge.store.tables import Thread, Turn, TurnState


def new_turn_id() -> str:
    """16 characters, so that a part's nonce stays within Discord's 25."""
    return secrets.token_hex(8)


def at_address(address: Address) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        col(Thread.platform) == address.platform,
        col(Thread.workspace) == address.workspace,
        col(Thread.channel) == address.channel,
        col(Thread.thread) == address.thread,
    )


def in_state(state: TurnState) -> sa.ColumnElement[bool]:
    return col(Turn.state) == state


# What `event_key` begins with where a person had a turn sent again.
AGAIN = "again:"


def storable(text: str) -> str:
    """Text that any database and any encoder takes. PostgreSQL's can't hold a NUL, and nobody means one; half a
    surrogate pair can't be UTF-8, but JSON may bring it."""
    return text.replace("\0", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


async def execute(session: AsyncSession, statement: sa.UpdateBase) -> int:
    """How many rows the statement changed."""
    return (await (await session.connection()).execute(statement)).rowcount


async def update_turn(session: AsyncSession, turn: str, **values: Any) -> None:
    await execute(session, sa.update(Turn).where(col(Turn.id) == turn).values(**values))
