"""What people wrote and agents answered, encrypted at rest: which columns, and where it is done.

A column is encrypted because its type is `bridge.store.tables.Words`. The prepared statements know by it which of
their parameters and results are encrypted, and `EncryptedEngine` does it, between all of the store and the database;
for what reads at leisure by SQLModel, the type itself does. No query knows of it, so none may compute on such a
column: `tests/store/test_encrypted_statements.py` looks at each.

Each column has keys of its own, derived from `data.keys`: an encrypted value that is moved to another column, or to
another table, can't be read there. Moved to another row of its column it can: whoever can write to the database can
have a reply sent elsewhere anyway, by the ids, which are clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pydantic import SecretStr

from bridge.cipher import Cipher, WrongKey, id_of, is_encrypted, key_id, printable_id, read_key

if TYPE_CHECKING:  # the settings import this module, and most commands need no database
    import sqlalchemy as sa

NOTHING = ("", "[]")  # stands clear, as a NULL does: that nothing was written can be seen by the length anyway
UNREADABLE = "(can't be read: it was encrypted by a key that isn't in data.keys, or changed since)"


class Encryption:
    """How texts are stored in one database. Without keys it reads what isn't encrypted, and nothing else."""

    def __init__(self, keys: Sequence[SecretStr] = (), *, encrypts: bool = False) -> None:
        """`encrypts`: what is written from now on, with the first key.

        :raises ValueError: one isn't a key, or there is none to encrypt with.
        """
        if encrypts and not keys:
            raise ValueError("there is no key to encrypt with")
        self.encrypts = encrypts
        self.key_ids = tuple(key_id(read_key(key)) for key in keys)
        self._keys = tuple(keys)
        self._ciphers: dict[str, Cipher] = {}

    def stored(self, column: str, text: str) -> str:
        """A text as its column has it. One that looks encrypted is encrypted, as long as there is a key: else it would
        be taken for what it isn't when it is read."""
        if (self.encrypts and text not in NOTHING) or (is_encrypted(text) and self._keys):
            return self._cipher(column).encrypt(text)
        return text

    def read(self, column: str, stored: str) -> str:
        """:raises WrongKey: it can't be."""
        if not is_encrypted(stored):
            return stored
        if not self._keys:
            raise WrongKey(f"key {printable_id(id_of(stored))} isn't in data.keys")
        return self._cipher(column).decrypt(stored)

    def restored(self, column: str, stored: str) -> str | None:
        """The same value as it would be stored now, or None where it is stored so already.

        :raises WrongKey: it can't be read.
        """
        if stored in NOTHING:
            return None
        if not self.encrypts and not is_encrypted(stored):
            return None
        newest = bool(self._keys) and self._cipher(column).is_newest(stored)
        if self.encrypts and newest:
            return None
        text = self.read(column, stored)
        stays = newest and is_encrypted(text)  # clear, it would be taken for what it isn't
        return None if stays else self.stored(column, text)

    def _cipher(self, column: str) -> Cipher:
        known = self._ciphers.get(column)
        if known is None:
            known = self._ciphers[column] = Cipher(self._keys, f"stored text {column}")
        return known


CLEAR = Encryption()
_of: WeakKeyDictionary[sa.Dialect, Encryption] = WeakKeyDictionary()


def apply(encryption: Encryption, dialect: sa.Dialect) -> None:
    """To all that is read and written by SQLModel through the engine that has this dialect."""
    _of[dialect] = encryption


def applied_to(dialect: sa.Dialect) -> Encryption:
    return _of.get(dialect, CLEAR)
