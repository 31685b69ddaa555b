"""What the log says of a failure: its kind and status. Its own words may be a service's, and quote a person."""

from __future__ import annotations

from adapters.base import AgentError
from bridge.turns.surface import SurfaceError


def logged(error: Exception) -> dict[str, object]:
    """Fields of a log line. A surface's words are this program's own."""
    said: dict[str, object] = {"error": type(error).__name__}
    if isinstance(error, AgentError) and error.status is not None:
        said["status"] = error.status
    if isinstance(error, SurfaceError):
        said["reason"] = str(error)
    return said
