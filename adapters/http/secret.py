"""Keys where they can't be printed, by `repr` or by a traceback with its local values."""

from __future__ import annotations

from pydantic import SecretStr


class Headers(dict[str, str]):
    """Headers that carry a key: printed, they are their names."""

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


def without(text: str, secret: SecretStr | None) -> str:
    """The text, with `***` wherever it quotes the key."""
    key = secret.get_secret_value().strip() if secret else ""
    return text.replace(key, "***") if key else text
