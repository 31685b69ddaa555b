"""Encryption of single values at rest: authenticated, and with keys that can be changed one after the other.

An encrypted value is `MARK`, the id of the key that made it, a colon, and a Fernet token (AES-128-CBC and
HMAC-SHA256). A key's id says nothing of the key. For each `purpose` other keys are derived from the same ones, so that
what was encrypted for one can't be passed off as another's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

KEY_BYTES = 32
MARK = "\x02enc1:"  # what begins so is encrypted
ID_LENGTH = 8  # hexadecimal digits of a key's id
PREFIX_LENGTH = len(MARK) + ID_LENGTH + 1  # of an encrypted value, before the token
WRONG = f"a key is {KEY_BYTES} bytes in base64, as `openssl rand -base64 32` makes them"


class WrongKey(Exception):
    """A stored value can't be decrypted: none of the keys made it, or it was changed since. `str(error)` says which,
    and holds nothing of the value."""


def read_key(key: SecretStr) -> bytes:
    """From base64, in the standard alphabet or the one for addresses. Raises `ValueError` without the key in it."""
    try:
        raw = base64.b64decode(key.get_secret_value().strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(WRONG) from None
    if len(raw) != KEY_BYTES:
        raise ValueError(WRONG)
    return raw


def key_id(raw: bytes) -> str:
    """By which a key is named in stored values, in the log and by `doctor`."""
    return hashlib.sha256(b"threadbridge key id\0" + raw).hexdigest()[:ID_LENGTH]


class Cipher:
    """The first key encrypts, all decrypt."""

    def __init__(self, keys: Sequence[SecretStr], purpose: str = "") -> None:
        """:raises ValueError: one isn't a key, or there is none."""
        raws = [read_key(key) for key in keys]
        if not raws:
            raise ValueError("there is no key")
        self.newest = key_id(raws[0])
        """The id of the first key."""
        self._by_id = {key_id(raw): _derived(raw, purpose) for raw in raws}
        self._prefix = f"{MARK}{self.newest}:"
        self._first = self._by_id[self.newest]

    def encrypt(self, text: str) -> str:
        return self._prefix + self._first.encrypt(text.encode("utf-8", "surrogatepass")).decode("ascii")

    def decrypt(self, stored: str) -> str:
        """What isn't encrypted is given back as it is.

        :raises WrongKey: none of the keys made it, or it was changed since.
        """
        if not is_encrypted(stored):
            return stored
        made_by = id_of(stored)
        key = self._by_id.get(made_by)
        if key is None:
            raise WrongKey(f"key {printable_id(made_by)} isn't in data.keys")
        try:
            return key.decrypt(stored[PREFIX_LENGTH:].encode("utf-8")).decode("utf-8", "surrogatepass")
        except (InvalidToken, UnicodeError):
            raise WrongKey(f"it was changed since key {made_by} encrypted it") from None

    def is_newest(self, stored: str) -> bool:
        """Whether the first key made it, by its id."""
        return stored.startswith(self._prefix)


def is_encrypted(stored: str) -> bool:
    return stored.startswith(MARK)


def id_of(encrypted: str) -> str:
    """The id of the key that made it."""
    return encrypted[len(MARK) : PREFIX_LENGTH - 1]


def printable_id(found: str) -> str:
    """An id that stands in a stored value, which may have been changed."""
    known = len(found) == ID_LENGTH and all(digit in "0123456789abcdef" for digit in found)
    return found if known else "(unknown)"


def _derived(raw: bytes, purpose: str) -> Fernet:
    info = f"threadbridge {purpose}".encode()
    return Fernet(base64.urlsafe_b64encode(HKDF(SHA256(), length=KEY_BYTES, salt=None, info=info).derive(raw)))
