"""A file of 200 MB in and out by command: what the process's memory grows by. `--megabytes N` for another size."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.bench.large_files import measure

MOST = 32  # MB that it may grow by, whatever the file's size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    megabytes = parser.parse_args().megabytes
    rows = [row for platform in ("slack", "discord") for row in asyncio.run(measure(platform, megabytes))]
    for row in rows:
        print(f"{row.way:28} {row.megabytes:4} MB: memory grew by {row.grown:5.1f} MB")
    return 1 if any(row.grown > MOST for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
