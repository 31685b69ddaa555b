"""Where the app was installed, in the database. Tokens are encrypted there, and nowhere else written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import structlog
from pydantic import SecretStr

from bridge.cipher import Cipher, WrongKey
from bridge.installations import Installation, StoreAway, Tokens
from bridge.store import statements as sql
from bridge.store.audit import BRIDGE, SOMEBODY, Deed, entry, person
from bridge.store.engine import Engine, Fenced, Op, Row, Rows, StoreUnavailable
from bridge.store.tables import SECOND, now

log = structlog.get_logger()

# Microseconds: what commits a moment after a look, with an older time, is seen by the next one all the same.
OVERLAP = 60 * SECOND


class InstallationStore:
    """Implements `bridge.installations.Installations`."""

    def __init__(self, engine: Engine, cipher: Cipher) -> None:
        self._engine = engine
        self._cipher = cipher
        self._looked: set[tuple[str, int]] = set()  # what the last look found, by id and version

    async def changed(self, since: int) -> tuple[Sequence[Installation], int]:
        [rows] = await self._run(Op(sql.CHANGED_INSTALLATIONS, {"since": max(0, since - OVERLAP)}))
        newest = max((row[-1] for row in rows), default=0)
        before = self._looked if since else set()
        self._looked = {_version(row) for row in rows}
        found = []
        for row in rows:
            if _version(row) in before:  # of the overlap: neither decrypted nor complained of each time
                continue
            try:
                found.append(self._read(row))
                if since == 0:
                    await self._reencrypt(found[-1], row)
            except StoreAway:  # whoever needs it hears so
                log.error("installation can't be read", installation=row[0], mend="give its key back to data.keys")
        return found, max(since, newest)

    async def _reencrypt(self, installation: Installation, row: Row) -> None:
        """By the newest key, so that an older one can be taken away after a start."""
        encrypted = row[sql.INSTALLATION_COLUMNS.index("access_token")]
        if installation.tokens is None or self._cipher.is_newest(encrypted):
            return
        values = {"id": installation.id, "version": installation.version, **self._encrypted(installation.tokens)}
        del values["expires_at"]
        await self._run(Op(sql.REENCRYPT, values))

    async def find(self, place: str) -> Installation | None:
        [rows] = await self._run(Op(sql.FIND_INSTALLATION, {"id": place}))
        return self._read(rows[0]) if rows else None

    async def put(self, installation: Installation) -> Installation:
        if installation.tokens is None:
            raise ValueError("what is installed has tokens")
        values = {
            "id": installation.id,
            "name": installation.name,
            "user": installation.user,
            "bot": installation.bot,
            "app": installation.app,
            "scopes": ",".join(sorted(installation.scopes)),
            "org": installation.org,
            "enterprise": installation.enterprise,
            "installed_by": installation.installed_by,
            **self._encrypted(installation.tokens),
            "changed_at": now(),
        }
        by = person("slack", installation.installed_by) if installation.installed_by else SOMEBODY
        [row], _ = await self._run(
            Op(sql.PUT_INSTALLATION, values), entry(by, Deed.INSTALLED, f"slack:{installation.id}")
        )
        return replace(installation, version=row[sql.INSTALLATION_COLUMNS.index("version")])

    async def remove(self, place: str, version: int) -> bool:
        values = {"id": place, "version": version, "at": now()}
        try:
            await self._run(Op(sql.REMOVE_INSTALLATION, values), entry(BRIDGE, Deed.UNINSTALLED, f"slack:{place}"))
        except Fenced:  # there is another version by now
            return False
        return True

    async def claim_refresh(self, place: str, version: int, seconds: float) -> bool:
        at = now()
        values = {"id": place, "version": version, "at": at, "until": at + round(seconds * SECOND)}
        [rows] = await self._run(Op(sql.CLAIM_REFRESH, values))
        return bool(rows)

    async def refreshed(self, place: str, version: int, tokens: Tokens) -> Installation | None:
        values = {"id": place, "version": version, **self._encrypted(tokens), "at": now()}
        [rows] = await self._run(Op(sql.REFRESHED, values))
        return self._read(rows[0]) if rows else None

    async def spend_state(self, state: str, until: float) -> bool:
        digest = hashlib.sha256(state.encode()).hexdigest()
        _, rows = await self._run(
            Op(sql.FORGET_STATES, {"at": now()}),
            Op(sql.SPEND_STATE, {"digest": digest, "until": round(until * SECOND)}),
        )
        return bool(rows)

    async def _run(self, *ops: Op) -> Sequence[Rows]:
        try:
            return await self._engine.run(*ops)
        except StoreUnavailable as error:
            raise StoreAway(str(error)) from None

    def _encrypted(self, tokens: Tokens) -> dict[str, object]:
        refresh = tokens.refresh
        return {
            "access_token": self._cipher.encrypt(tokens.access.get_secret_value()),
            "refresh_token": None if refresh is None else self._cipher.encrypt(refresh.get_secret_value()),
            "expires_at": None if tokens.expires_at is None else round(tokens.expires_at * SECOND),
        }

    def _read(self, row: Row) -> Installation:
        kept = dict(zip(sql.INSTALLATION_COLUMNS, row, strict=True))
        return Installation(
            id=kept["id"],
            name=kept["name"],
            user=kept["user"],
            bot=kept["bot"],
            app=kept["app"],
            scopes=frozenset(filter(None, kept["scopes"].split(","))),
            tokens=self._opened(kept["access_token"], kept["refresh_token"], kept["expires_at"]),
            org=bool(kept["org"]),
            enterprise=kept["enterprise"],
            installed_by=kept["installed_by"],
            version=kept["version"],
        )

    def _opened(self, access: str | None, refresh: str | None, expires_at: int | None) -> Tokens | None:
        if access is None:
            return None
        try:
            return Tokens(
                SecretStr(self._cipher.decrypt(access)),
                None if refresh is None else SecretStr(self._cipher.decrypt(refresh)),
                None if expires_at is None else expires_at / SECOND,
            )
        except WrongKey as error:  # not uninstalled: it works again as soon as the key is back
            raise StoreAway(str(error)) from None


def _version(row: Row) -> tuple[str, int]:
    return row[sql.INSTALLATION_COLUMNS.index("id")], row[sql.INSTALLATION_COLUMNS.index("version")]
