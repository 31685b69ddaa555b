"""Which nonce our latest messages had: Discord tells the sender and, on the gateway, everyone once."""

from __future__ import annotations

from collections import OrderedDict

REMEMBERED = 10_000  # messages; some 2 MB


class Echoes:
    def __init__(self) -> None:
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._nonces: dict[int, str] = {}

    def add(self, nonce: str, message_id: int) -> None:
        self._ids[nonce] = message_id
        self._nonces[message_id] = nonce
        if len(self._ids) > REMEMBERED:
            _, oldest = self._ids.popitem(last=False)
            self._nonces.pop(oldest, None)

    def message(self, nonce: str) -> int | None:
        """The message that was sent with this nonce."""
        return self._ids.get(nonce)

    def nonce(self, message_id: int) -> str | None:
        return self._nonces.get(message_id)
