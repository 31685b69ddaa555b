"""Repeated requests of the agents' client: one count and one log line each.

stamina's own line quotes the error, and with it what the service said: perhaps what a person wrote.
"""

from __future__ import annotations

import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from bridge import metrics

log = structlog.get_logger()


def count_retries() -> None:
    """From now on, in all of this process."""
    set_on_retry_hooks([_retried])


def _retried(details: RetryDetails) -> None:
    cause = details.caused_by
    metrics.agent_retried("request")
    log.warning(
        "agent's service is asked again",
        error=type(getattr(cause, "error", cause)).__name__,
        tries=details.retry_num,
        again_in=round(details.wait_for, 2),
    )
