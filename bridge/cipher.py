"""Encryption of single values at rest: authenticated, and with keys that can be changed one after the other."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

KEY_BYTES = 32
MARK = "\x02enc1:"  # what begins so is encrypted


class WrongKey(Exception):
    """A stored value can't be decrypted: none of the keys made it, or it was changed since."""


def read_key(key: SecretStr) -> Fernet:
    """From base64, in the standard alphabet or the one for addresses. Raises `ValueError` without the key in it."""
    try:
        raw = base64.b64decode(key.get_secret_value().strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            f"a key is {KEY_BYTES} bytes in base64, as `openssl rand -base64 32` makes them"
        ) from None
    if len(raw) != KEY_BYTES:
        raise ValueError(f"a key is {KEY_BYTES} bytes in base64, as `openssl rand -base64 32` makes them")
    return Fernet(base64.urlsafe_b64encode(raw))


class Cipher:
    """The first key encrypts, all decrypt."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """:raises ValueError: one isn't a key, or there is none."""
        self._newest = read_key(keys[0])
        self._all = MultiFernet([read_key(key) for key in keys])

    def encrypt(self, text: str) -> str:
        return MARK + self._all.encrypt(text.encode("utf-8", "surrogatepass")).decode("ascii")

    def decrypt(self, stored: str) -> str:
        """What isn't encrypted is given back as it is.

        :raises WrongKey: none of the keys made it, or it was changed since.
        """
        if not is_encrypted(stored):
            return stored
        try:
            return self._all.decrypt(stored[len(MARK) :].encode("utf-8")).decode("utf-8", "surrogatepass")
        except (InvalidToken, UnicodeError):
            raise WrongKey("a stored value can't be decrypted by any of data.keys") from None

    def is_newest(self, stored: str) -> bool:
        """Whether the first key made it."""
        if not is_encrypted(stored):
            return False
        try:
            self._newest.decrypt(stored[len(MARK) :].encode("utf-8"))
        except InvalidToken:
            return False
        return True


def is_encrypted(stored: str) -> bool:
    return stored.startswith(MARK)
