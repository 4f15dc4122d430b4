"""A process that decodes parts: told numbers on standard input, answers on standard output.

Started as a program of its own, not forked or spawned from the caller: a caller full of threads, a notebook and a
script without a main guard are all safe, and a decoder that crashes takes only this process with it.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from limner.data.part import process, write_part
from limner.data.plan import Plan
from limner.data.sources import open_reader
from limner.data.sources.base import Payload, Unreadable


class Job(msgspec.Struct, frozen=True):
    """Everything that a process needs to decode any part of a set; lies as job.json in the staging folder."""

    kind: str
    settings: dict[str, Any]
    plan: Plan
    edges: list[int]


def read_job(staging: Path) -> Job:
    """The job of a staging folder."""
    return msgspec.json.decode((staging / "job.json").read_bytes(), type=Job)


class Parts:
    """Decodes parts of the set in a staging folder."""

    def __init__(self, staging: Path) -> None:
        self.staging, self.job = staging, read_job(staging)
        self.rows = np.load(staging / "candidates.npy", mmap_mode="r")
        places = staging / "places.arrow"
        table = pa.ipc.open_file(pa.memory_map(str(places))).read_all() if places.exists() else None
        self.reader = open_reader(self.job.kind, self.job.settings, table)

    def decode(
        self, number: int, at: Callable[[int], None] = lambda i: None, skip: dict[int, str] | None = None
    ) -> None:
        """Part `number` from source to disk; pictures in `skip` are set aside unread, with the reason given."""
        start, stop = self.job.edges[number], self.job.edges[number + 1]
        rows = np.array(self.rows[start:stop])
        pixels, records, note = process(self._payloads(rows, skip or {}), stop - start, self.job.plan, at)
        write_part(self.staging, number, start, pixels, records, note)

    def _payloads(self, rows: np.ndarray, skip: dict[int, str]) -> Any:
        for number, payload in enumerate(self.reader.read(rows)):
            chosen: Payload = Unreadable(skip[number]) if number in skip else payload
            yield chosen


def main() -> None:
    """Reads lines `{"part": 3, "skip": {}}` until the input ends; answers each with the part's number."""
    staging, place = Path(sys.argv[1]), Path(sys.argv[2])
    with place.open("r+b") as file:
        position = mmap.mmap(file.fileno(), 8)
    parts = Parts(staging)
    decoder = msgspec.json.Decoder(dict[str, Any])

    def at(number: int) -> None:
        position[:8] = number.to_bytes(8, "little", signed=True)

    for line in sys.stdin.buffer:
        order = decoder.decode(line)
        parts.decode(order["part"], at, {int(k): v for k, v in order["skip"].items()})
        sys.stdout.buffer.write(b"%d\n" % order["part"])
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
