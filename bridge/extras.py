"""What an operator installs only where it is used: the extras of the distribution, by the modules they bring."""

from __future__ import annotations

from importlib.util import find_spec

from bridge.settings import SettingsError

EXTRAS = {
    "postgres": ("psycopg", "psycopg_pool"),
    "openai": ("openai",),
    "a2a": ("a2a",),
    "mcp": ("mcp",),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
    "ops": ("jinja2",),
    "demo": ("jinja2", "python_multipart", "sse_starlette", "websockets", "openai", "a2a"),
}


class MissingExtra(SettingsError):
    """Something that is wanted isn't installed; `str(error)` is one sentence that says how to install it."""

    def __init__(self, extra: str, wanted_by: str) -> None:
        super().__init__(f"{wanted_by} needs more than is installed: {how_to_install(extra)}")


def how_to_install(extra: str) -> str:
    return f'pip install "threadbridge[{extra}]"'


def installed(extra: str) -> bool:
    return all(map(_is_there, EXTRAS[extra]))


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False


def require(extra: str, wanted_by: str) -> None:
    """Raises `MissingExtra`."""
    if not installed(extra):
        raise MissingExtra(extra, wanted_by)


def extra_of(error: ImportError) -> str | None:
    """The extra that brings what couldn't be imported, if it is one of ours."""
    module = (error.name or "").partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if module in modules), None)
