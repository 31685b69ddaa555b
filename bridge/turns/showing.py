"""Brings a table or a chart of an agent's into its thread, once: drawn by the platform where it can, with a CSV beside.

| the reply's text shows the table already | only the CSV |
| the platform has a form of its own for it | that in a message of its own, then the CSV |
| else | the CSV with a preview, or a chart made of text |
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import structlog

from adapters.text import safe_name
from bridge.render.charts import text_chart
from bridge.render.data import Data
from bridge.render.repeated import shows
from bridge.render.style import Dialect
from bridge.render.tables import counted, preview
from bridge.store.values import ArtifactRecord
from bridge.turns.reply import Reply
from bridge.turns.surface import Draws, PartKey, PartKind, Refused, Upload
from bridge.turns.text import MAX_REPLY
from bridge.turns.work import Work

log = structlog.get_logger()


def data_of(artifact: ArtifactRecord) -> Data:
    return Data.stored(artifact.name, artifact.table or {"columns": [], "rows": []})


async def bring_data(
    work: Work, reply: Reply, artifact: ArtifactRecord, answer: str, others: Iterable[ArtifactRecord]
) -> None:
    """`others`: what else the agent made in this turn."""
    data = data_of(artifact)
    key = PartKey(work.turn.id, PartKind.TABLE, artifact.index)
    if reply.has(key) or _comes_otherwise(artifact, data, others):
        return
    dialect = work.surface.style.dialect
    if data.chart is None and shows(answer[:MAX_REPLY], data):
        text = _about(data, len(data.rows), dialect)
    elif (rows := await _drawn(work, reply, artifact.index, data)) > 0:
        text = _about(data, rows, dialect)
    else:
        text = _as_text(data, dialect)
    path = work.folder.new(".csv")
    content = await asyncio.to_thread(data.csv)
    await asyncio.to_thread(path.write_bytes, content)
    name = f"{Path(safe_name(artifact.name)).stem or 'table'}.csv"
    await reply.upload(key, Upload(name, path, "text/csv", len(content)), text)


def _comes_otherwise(artifact: ArtifactRecord, data: Data, others: Iterable[ArtifactRecord]) -> bool:
    """Whether the agent gave the very same before."""
    return any(
        one.index < artifact.index
        and one.kind == artifact.kind
        and (earlier := data_of(one)).chart is data.chart
        and list(earlier.columns) == list(data.columns)
        and earlier.same_rows(data)
        for one in others
        if one.table is not None
    )


async def _drawn(work: Work, reply: Reply, index: int, data: Data) -> int:
    """How many rows of it the platform shows now in a form of its own."""
    surface: object = work.surface
    rows = surface.drawable(data) if isinstance(surface, Draws) else 0
    if rows:
        try:
            await reply.draw(PartKey(work.turn.id, PartKind.DRAWN, index), data)
        except Refused as refusal:
            log.info("not drawn", artifact=index, reason=str(refusal))
            return 0
    return rows


def _about(data: Data, rows: int, dialect: Dialect) -> str:
    """The line that goes with the file, where the rows stand above it."""
    name = f"**{dialect.literal(data.title)}**: " if data.title else ""
    return f"{name}{counted(rows, len(data.rows), data.truncated).lower()}"


def _as_text(data: Data, dialect: Dialect) -> str:
    drawn = "" if data.chart is None else text_chart(data, dialect)
    return drawn or preview(data.columns, data.rows, dialect, title=data.title, truncated=data.truncated)
