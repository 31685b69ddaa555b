"""Removes, beside all else, what the settings keep no longer."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import timedelta

import structlog

from bridge.settings.data import DataSettings
from bridge.store.engine import StoreUnavailable
from bridge.store.retention import Keep, Retention

FIRST_AFTER = 60.0  # seconds after the start: what people wrote meanwhile comes first
EVERY = 3600.0  # seconds
BETWEEN_BITES = 0.2  # seconds in which the turns have the database to themselves

log = structlog.get_logger()


def keep_of(data: DataSettings) -> Keep:
    return Keep(
        threads=timedelta(days=data.keep_threads_days),
        turns=timedelta(days=data.keep_turns_days),
        files=timedelta(days=data.keep_files_days),
        feedback=timedelta(days=data.keep_feedback_days),
        audit=timedelta(days=data.keep_audit_days),
    )


async def sweep_for_ever(retention: Retention) -> None:
    """Until it is cancelled."""
    await asyncio.sleep(FIRST_AFTER)
    while True:
        try:
            removed = await retention.sweep(_pause)
        except StoreUnavailable as error:
            log.info("retention waits for the database", error=str(error))
        except Exception:  # nothing of this may end the bridge
            log.exception("retention failed")
        else:
            if removed:
                log.info("old data removed", **asdict(removed))
        await asyncio.sleep(EVERY)


async def _pause() -> None:
    await asyncio.sleep(BETWEEN_BITES)
