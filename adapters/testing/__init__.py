"""The contract that every adapter keeps, as a pytest suite. Needs pytest, pytest-asyncio (mode auto) and stamina.

    class TestMyAdapter(AdapterContract, UploadContract, FilesContract, HistoryContract):
        @pytest.fixture
        async def world(self) -> AsyncIterator[World]:
            ...  # start a simulated backend, yield a `World` of it, stop it

The base class holds what every adapter must do; each mix-in what only some can. What an adapter can't do isn't
skipped: its mix-in is left out, and the base class checks that the agent then lacks the Protocol too.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("pytest") is not None:  # the simulated backends below do without, as the playground has none
    import pytest

    for _module in (
        "turns",
        "contract",
        "persons",
        "traces",
        "steps",
        "approvals",
        "ratings",
        "abilities",
        "adapter",
    ):
        pytest.register_assert_rewrite(f"{__name__}.{_module}")

    from adapters.testing.abilities import (
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
    from adapters.testing.adapter import AdapterContract
    from adapters.testing.approvals import ApprovalContract, ChoiceContract
    from adapters.testing.contract import Contract
    from adapters.testing.ratings import RatesContract
    from adapters.testing.steps import SourcesContract, StepContract
    from adapters.testing.turns import MAX_CHECKPOINT, Heard, attachment, close, closing, fetch, hear
    from adapters.testing.world import Step, Trouble, World

__all__ = [
    "MAX_CHECKPOINT",
    "AdapterContract",
    "ApprovalContract",
    "CancelsContract",
    "ChoiceContract",
    "Contract",
    "DeletesContract",
    "FilesContract",
    "Heard",
    "HistoryContract",
    "InputRequestContract",
    "ListsContract",
    "PolledContract",
    "RatesContract",
    "SourcesContract",
    "Step",
    "StepContract",
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


def __getattr__(name: str) -> object:
    if name in __all__:
        raise ImportError('the contract suite needs pytest: pip install "threadbridge[testing]"', name="pytest")
    raise AttributeError(name)
