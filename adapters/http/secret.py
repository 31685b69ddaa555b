"""Keys where they can't be printed, by `repr` or by a traceback with its local values."""

from __future__ import annotations

import re

from pydantic import SecretStr

_SIGNED = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+")  # a signed token: three parts, the first a JSON object


class Headers(dict[str, str]):
    """Headers that carry a key: printed, they are their names."""

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


def without(text: str, secret: SecretStr | None) -> str:
    """The text, with `***` wherever it quotes the key or a signed token, which speaks for a person."""
    key = secret.get_secret_value().strip() if secret else ""
    return _SIGNED.sub("***", text.replace(key, "***") if key else text)
