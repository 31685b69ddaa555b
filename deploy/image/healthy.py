"""The image's health check: exit 0 if this container's `/healthz` answers 200. Needs no package."""

import os
import sys
from http.client import HTTPConnection, HTTPException

WITHIN = 4  # seconds; the Dockerfile gives 5


def main() -> int:
    connection = HTTPConnection(
        "127.0.0.1", int(os.environ.get("THREADBRIDGE_HTTP__PORT", "3000")), timeout=WITHIN
    )
    try:
        connection.request("GET", "/healthz")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main())
