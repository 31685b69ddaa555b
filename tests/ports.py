"""Ports for what is started twice under the same address, or is told its address before it starts."""

from __future__ import annotations

import random
import socket

BELOW_OUTGOING = range(15_000, 32_000)  # the system gives the ports of outgoing connections from 32,768 on


def free_port() -> int:
    """One that nothing listens on, and that no outgoing connection of another test is given meanwhile."""
    while True:
        port = random.choice(BELOW_OUTGOING)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
