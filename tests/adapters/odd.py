"""Answers with status 200 that no service documents, and that proxies and bad days send."""

from __future__ import annotations

import pytest

ODD_ANSWERS = [
    pytest.param(b"<html><body>Please log in.</body></html>", id="HTML"),
    pytest.param(b'{"state": "PEN', id="cut JSON"),
    pytest.param(b"[3]", id="list"),
    pytest.param(b"[null]", id="list of null"),
    pytest.param(b'{"history": null, "data": null, "messages": null}', id="nulls"),
    pytest.param(b"null", id="null"),
    pytest.param(b"", id="empty"),
    pytest.param(b'"working"', id="text"),
    pytest.param(b"17", id="number"),
    pytest.param(b"\xff\xfe", id="no UTF-8"),
    pytest.param(b"[" * 100_000, id="deep"),
]
