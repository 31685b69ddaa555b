"""What may be done with an encrypted column in SQL: it is written from a parameter or left, read whole, or asked
whether it is NULL. Everything else would compute on the encrypted value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.sql import visitors
from sqlalchemy.sql.operators import is_, is_not
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

from bridge.store import statements
from bridge.store.engine import Statement
from bridge.store.statements.base import string, turn, value
from bridge.store.tables import Words

STATEMENTS = {name: one for name, one in vars(statements).items() if isinstance(one, Statement)} | {
    f"SAID_SINCE_{index}": one for index, one in enumerate(statements.SAID_SINCE)
}
# Compared, sorted, unique or looked for, or nobody's words: see `.github/docs/encryption.md`.
CLEAR = {
    "artifact": {"turn_id", "kind", "media_type"},
    "audit": {"who", "what", "about"},
    "budget": {"scope"},
    "encryption_key": {"id"},
    "feedback": {"turn_id", "person", "agent"},
    "installation": {  # the tokens are encrypted whatever the settings say of texts
        "id", "name", "user", "bot", "app", "scopes", "access_token", "refresh_token", "enterprise", "installed_by",
    },
    "part": {"turn_id", "kind", "message_id"},
    "refused": {"message_key"},
    "replica": {"id"},
    "restored": set(),
    "shard": {"application", "owner", "session", "url"},
    "shard_plan": {"application"},
    "shard_server": {"application", "replica"},
    "shard_start": {"application"},
    "spent_state": {"digest"},
    "thread": {
        "platform", "workspace", "channel", "thread", "agent", "conversation", "state", "owner", "seat",
        "waiting_turn", "last_part", "recheck_turn", "person", "newest",
    },
    "turn": {
        "id", "event_key", "message_key", "message_id", "person", "person_workspace", "state", "retry_of", "asked_as",
        "chosen", "settles", "joined_into", "outcome", "superseded_by", "traceparent", "agent",
    },
}  # fmt: skip


def test_of_each_column_that_holds_text_somebody_decided() -> None:
    """A new one fails here until it is `Words`, or clear for a reason."""
    for table in SQLModel.metadata.sorted_tables:
        texts = {one.name for one in table.c if isinstance(one.type, sa.String | AutoString)}
        assert texts == CLEAR[table.name], table.name


def test_each_encrypted_column_has_its_own_name() -> None:
    for table in SQLModel.metadata.sorted_tables:
        for column in table.c:
            if isinstance(column.type, Words):
                assert column.type.column == f"{table.name}.{column.name}"


def test_no_index_is_of_an_encrypted_column() -> None:
    for table in SQLModel.metadata.sorted_tables:
        for index in table.indexes:
            assert not any(_is_words(column) for column in index.columns), index.name


def _is_nothing(element: Any) -> bool:
    """NULL, and what is stored clear in any case."""
    clear = isinstance(element, sa.ColumnClause) and str(element) in ("''", "'[]'")
    return clear or isinstance(element, sa.sql.elements.Null)


def _is_words(element: Any) -> bool:
    return isinstance(element, sa.ColumnClause) and isinstance(element.type, Words)


def computes_on(clause: Any) -> Iterator[str]:
    """Expressions of a statement that compute on an encrypted column or parameter."""
    for element in visitors.iterate(clause):
        match element:
            case sa.BinaryExpression():
                sides = [element.left, element.right]
                computes = element.operator not in (is_, is_not) and not any(_is_nothing(side) for side in sides)
                if computes and any(isinstance(side.type, Words) for side in sides):
                    yield str(element)
            case sa.sql.functions.Function():
                types = [one.type for one in element.clauses]
                of_words = [one.column for one in types if isinstance(one, Words)]
                # The same column's other value takes its place, whole.
                whole = element.name == "coalesce" and len(set(of_words)) == 1
                if of_words and not (whole and len(of_words) == len(types)):
                    yield str(element)
            case sa.Cast() | sa.UnaryExpression() | sa.TypeCoerce():
                if any(isinstance(one.type, Words) for one in element.get_children() if hasattr(one, "type")):
                    yield str(element)


def assigned_wrongly(clause: Any) -> Iterator[str]:
    """Encrypted columns that get what isn't theirs, and others that get what is encrypted."""
    if not isinstance(clause, sa.Update | sa.Insert):
        return
    target: Any = clause.table
    pairs = list((clause._values or {}).items())
    if isinstance(clause, sa.Insert):
        if clause.select is not None:
            pairs += zip(clause._select_names or (), clause.select.selected_columns, strict=True)
        pairs += dict(getattr(clause._post_values_clause, "update_values_to_set", None) or {}).items()
    for name, given in pairs:
        column = target.c[getattr(name, "name", name)]
        wanted = column.type.column if isinstance(column.type, Words) else None
        for one in _whole(given):
            got = one.type.column if isinstance(getattr(one, "type", None), Words) else None
            if got != wanted and not _is_nothing(one):
                yield f"{column} = {given}"


def _whole(given: Any) -> Iterator[Any]:
    """What an expression gives on, unchanged."""
    match given:
        case sa.sql.elements.Label():
            yield from _whole(given.element)
        case sa.Case():
            for _, result in given.whens:
                yield from _whole(result)
            if given.else_ is not None:
                yield from _whole(given.else_)
        case sa.sql.functions.Function() if given.name == "coalesce":
            for one in given.clauses:
                yield from _whole(one)
        case _:
            yield given


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_no_statement_computes_on_an_encrypted_column(name: str) -> None:
    clause = STATEMENTS[name]._clause
    assert list(computes_on(clause)) == []
    assert list(assigned_wrongly(clause)) == []


@pytest.mark.parametrize(
    "clause",
    [
        sa.select(turn.c.id).where(turn.c.text == string("words")),
        sa.select(turn.c.id).where(turn.c.id == value(turn.c.text, "words")),
        sa.select(sa.func.length(turn.c.text)),
        sa.select(sa.func.coalesce(turn.c.edited, turn.c.text)),
        sa.select(turn.c.text + "…"),
        sa.select(turn.c.id).order_by(turn.c.person_name.desc()),
        sa.select(sa.cast(turn.c.files, sa.JSON)),
        sa.update(turn).values(text=turn.c.edited),
        sa.update(turn).values(text=string("words")),
        sa.update(turn).values(outcome=value(turn.c.detail)),
        sa.update(turn).values(settled=sa.literal_column("'Left'")),
        sa.update(turn).values(settled=sa.case((turn.c.stopped, turn.c.notice), else_=turn.c.settled)),
    ],
)  # fmt: skip
def test_what_would_compute_on_one_is_seen(clause: Any) -> None:
    assert [*computes_on(clause), *assigned_wrongly(clause)]
