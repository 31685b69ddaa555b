"""Stands between the store and the database where texts are encrypted: see `bridge.store.encryption`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

from bridge.cipher import WrongKey
from bridge.store.encryption import Encryption
from bridge.store.engine import Dialect, Engine, Op, Row, Rows, Statement
from bridge.store.tables import Words


class UnreadableRow(tuple[Any, ...]):
    """A row with values that can't be read, in whose place None stands. `reason` is for the operator."""

    reason: str = ""


def is_readable(row: Row) -> bool:
    return not isinstance(row, UnreadableRow)


class EncryptedEngine:
    """Implements `bridge.store.engine.Engine`."""

    def __init__(self, engine: Engine, encryption: Encryption) -> None:
        self.dialect: Dialect = engine.dialect
        self.health = engine.health
        self._engine = engine
        self._encryption = encryption
        self._known: dict[Statement, tuple[Mapping[str, str], Sequence[tuple[int, str]]]] = {}

    async def run(self, *ops: Op) -> Sequence[Rows]:
        found = await self._engine.run(*(self._stored(op) for op in ops))
        return [self._read(op.statement, rows) for op, rows in zip(ops, found, strict=True)]

    async def close(self) -> None:
        await self._engine.close()

    def _stored(self, op: Op) -> Op:
        parameters, _ = self._parts(op.statement)
        if not parameters:
            return op
        values = dict(op.values)
        for name, column in parameters.items():
            value = values[name]
            if isinstance(value, str):
                values[name] = self._encryption.stored(column, value)
        return Op(op.statement, values)

    def _read(self, statement: Statement, rows: Rows) -> Rows:
        _, results = self._parts(statement)
        return [self._read_row(row, results) for row in rows] if results else rows

    def _read_row(self, row: Row, results: Sequence[tuple[int, str]]) -> Row:
        values = list(row)
        reason = ""
        for place, column in results:
            stored = values[place]
            if stored is None:
                continue
            try:
                values[place] = self._encryption.read(column, stored)
            except WrongKey as error:
                values[place] = None
                reason = f"{column}: {error}"
        if not reason:
            return tuple(values)
        unreadable = UnreadableRow(values)
        unreadable.reason = reason
        return unreadable

    def _parts(self, statement: Statement) -> tuple[Mapping[str, str], Sequence[tuple[int, str]]]:
        known = self._known.get(statement)
        if known is None:
            known = self._known[statement] = encrypted_parts(statement.compiled(self.dialect))
        return known


def encrypted_parts(compiled: sa.Compiled) -> tuple[Mapping[str, str], Sequence[tuple[int, str]]]:
    """The parameters of a statement that go to encrypted columns, and the places in its rows that come from such."""
    assert isinstance(compiled, SQLCompiler)  # noqa: S101  # what compiles statements
    parameters = {name: bind.type.column for name, bind in compiled.binds.items() if isinstance(bind.type, Words)}
    results = [
        (place, entry.type.column)
        for place, entry in enumerate(compiled._result_columns)  # there is no public name for it
        if isinstance(entry.type, Words)
    ]
    return parameters, results
