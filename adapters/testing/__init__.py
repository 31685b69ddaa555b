"""The contract that every adapter keeps, as a pytest suite. Needs pytest, pytest-asyncio (mode auto) and stamina.

    class TestMyAdapter(AdapterContract, UploadContract, FilesContract, HistoryContract):
        @pytest.fixture
        async def world(self) -> AsyncIterator[World]:
            ...  # start a simulated backend, yield a `World` of it, stop it

The base class holds what every adapter must do; each mix-in what only some can. What an adapter can't do isn't
skipped: its mix-in is left out, and the base class checks that the agent then lacks the Protocol too.
"""

from __future__ import annotations

import pytest

for _module in ("turns", "contract", "abilities", "adapter"):
    pytest.register_assert_rewrite(f"{__name__}.{_module}")

from adapters.testing.abilities import (  # noqa: E402
    CancelsContract,
    DeletesContract,
    FilesContract,
    HistoryContract,
    InputRequestContract,
    ListsContract,
    PolledContract,
    StreamContract,
    TablesContract,
    UploadContract,
)
from adapters.testing.adapter import AdapterContract  # noqa: E402
from adapters.testing.contract import Contract  # noqa: E402
from adapters.testing.turns import MAX_CHECKPOINT, Heard, attachment, close, closing, fetch, hear  # noqa: E402
from adapters.testing.world import Step, Trouble, World  # noqa: E402

__all__ = [
    "MAX_CHECKPOINT",
    "AdapterContract",
    "CancelsContract",
    "Contract",
    "DeletesContract",
    "FilesContract",
    "Heard",
    "HistoryContract",
    "InputRequestContract",
    "ListsContract",
    "PolledContract",
    "Step",
    "StreamContract",
    "TablesContract",
    "Trouble",
    "UploadContract",
    "World",
    "attachment",
    "close",
    "closing",
    "fetch",
    "hear",
]
