"""The commands about what is kept: forget and export a person, the audit log, backups."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.options import ConfigOption
from bridge.cli.output import aside, fail, run, write
from bridge.printable import printable_json, printable_line
from bridge.settings import Settings, load

if TYPE_CHECKING:
    from adapters.base import Agent
    from bridge.store.database import Database
    from bridge.store.persons import Identity

OWNER_ONLY = 0o600  # mode of a file that holds what people wrote
PersonArgument = Annotated[
    str, typer.Argument(metavar="PERSON", help='"slack:U…", "slack:T…:U…" or "discord:…".', show_default=False)
]


def forget(
    person: PersonArgument,
    vacuum_full: Annotated[
        bool,
        typer.Option("--vacuum-full", help="PostgreSQL: write the tables anew; each is locked meanwhile."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Remove what is kept of a person: here, and where agents' services can delete a conversation."""
    run(_forget(load(config), _identity(person), vacuum_full))


async def _forget(settings: Settings, who: Identity, rewrite: bool) -> None:
    from bridge.ops.forget import forget as forget_person

    async with _database(settings) as database:
        report = await forget_person(database, who, lambda names: _agents(settings, names), rewrite=rewrite)
    if not report.known and not report.remains:
        write(f"nothing is kept of {who}")
        return
    done = report.forgotten
    write(
        f"{who} is forgotten: {done.turns} turns, {done.threads} threads, {done.feedback} words on answers,"
        f" {done.mentions} mentions in turns of others, {report.deleted} conversations at agents"
    )
    for note in report.notes:
        write(f"note: {printable_line(note)}")
    write("what stands on the platform stays there: people delete their messages themselves")
    for one in report.remains:
        aside(f"remains: {printable_line(one)}")
    if report.remains:
        fail("not all is forgotten; run the same command again")


def export(
    person: PersonArgument,
    out: Annotated[
        Path | None, typer.Option(help="Write it to this file; without it, to standard output.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """All that is kept of a person, as JSON, with what their agents' services show of their conversations."""
    run(_export(load(config), _identity(person), out))


async def _export(settings: Settings, who: Identity, out: Path | None) -> None:
    from bridge.ops.export import export_person

    async with _database(settings) as database:
        exported = await export_person(database, who, lambda names: _agents(settings, names))
    if exported is None:
        fail(f"nothing is kept of {who}")
    text = printable_json(exported, indent=2)
    if out is None:
        write(text)
        return
    try:
        _write_out(out, text)
    except OSError as error:
        fail(f"--out: {out} can't be written: {error.strerror}")
    aside(f"written to {out}")


def _write_out(path: Path, text: str) -> None:
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        out.write(text + "\n")


def audit(
    since: Annotated[float | None, typer.Option(min=0, max=36_500, help="Only of the last so many days.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000)] = 1_000,
    config: ConfigOption = None,
) -> None:
    """Who did what, the newest first."""
    run(_audit(load(config), since, as_json, limit))


async def _audit(settings: Settings, since: float | None, as_json: bool, limit: int) -> None:
    from bridge.store.ledger import Ledger

    after = None if since is None else datetime.now(UTC) - timedelta(days=since)
    async with _database(settings) as database:
        lines = await Ledger(database).audit(since=after, limit=limit)
    for line in lines:
        if as_json:
            write(printable_json(line.model_dump(mode="json", exclude={"id"})))
        else:
            detail = ", ".join(f"{name} {value}" for name, value in (line.detail or {}).items())
            cells = (line.at.isoformat(timespec="seconds"), line.who, line.what, line.about or "-", detail or "-")
            write("\t".join(printable_line(cell) for cell in cells))
    if not lines:
        aside("the audit log is empty" if since is None else "nothing was written down since then")


def back_up(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; it must not be there yet.")],
    config: ConfigOption = None,
) -> None:
    """Copy a SQLite database, also while `threadbridge run` serves it."""
    run(_back_up(load(config), file))


async def _back_up(settings: Settings, file: Path) -> None:
    from bridge.store.audit import Deed, operator, record
    from bridge.store.backup import back_up as copy

    async with _database(settings) as database:
        if database.url.get_backend_name() != "sqlite":
            fail('PostgreSQL has a tool of its own: pg_dump --format=custom --file FILE "$DATABASE_URL"')
        async with database.prepared(f"backup-{token_hex(4)}") as engine:
            await record(engine, operator(), Deed.BACKED_UP)
        await copy(database.url, file)
    write(f"the database is copied to {file}")


def restored(config: ConfigOption = None) -> None:
    """After an older state was put back, and before `threadbridge run`: let nothing be asked twice."""
    run(_restored(load(config)))


async def _restored(settings: Settings) -> None:
    from bridge.store.audit import operator
    from bridge.store.backup import after_restore
    from bridge.store.database import unserved

    async with _database(settings) as database:
        with unserved(database.url) as alone:
            if not alone or await _alive(database):
                fail("a bridge serves this database; stop it first")
            async with database.prepared(f"restored-{token_hex(4)}") as engine:
                turns = await after_restore(database, engine, operator())
    write("what people wrote before now isn't asked any more")
    for turn in turns:
        write(f"not asked: {turn}")
    if turns:
        aside("where one wasn't answered: threadbridge turns show ID, threadbridge turns retry ID")


async def _alive(database: Database) -> bool:
    sqlite = database.url.get_backend_name() == "sqlite"
    return not sqlite and bool(await database.presence("restored").alive())


def _identity(person: str) -> Identity:
    from bridge.store.persons import identity

    try:
        return identity(person)
    except ValueError as error:
        fail(f"PERSON is {person!r}: {error}")


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    from sqlalchemy.exc import DBAPIError

    from bridge.store.database import open_database
    from bridge.store.engine import StoreUnavailable

    try:
        async with open_database(
            settings.database_url.get_secret_value(), encryption=settings.data.encryption
        ) as database:
            current, newest = await database.revision()
            if current != newest:
                fail("the database isn't up to date; run `threadbridge db upgrade`")
            yield database
    except (StoreUnavailable, DBAPIError) as error:
        # Without what the statement was given: that is what people wrote.
        why = type(error.orig).__name__ if isinstance(error, DBAPIError) else str(error)
        fail(f"the database can't be used now ({why}); run the same command again")


@asynccontextmanager
async def _agents(settings: Settings, names: Sequence[str]) -> AsyncIterator[Mapping[str, Agent]]:
    from bridge.agents import open_agents

    known: dict[str, Any] = {name: settings.agents[name] for name in names if name in settings.agents}
    async with open_agents(known) as agents:
        yield agents
