"""What every source of pictures hands over: a table of candidates, and a reader that works in any process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from limner.data.sources.shards import Shards

TRAIN, TEST, VALIDATION = "train", "test", "validation"
SPLIT_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "test": TEST,
    "testing": TEST,
    "t10k": TEST,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
}

PACK_MARK = b"pack.json"
"""The file that makes a folder a packed set."""

MAX_FILE = 1 << 29
"""Bytes above which a file is not read as a picture."""

FILE, SPLIT = "file", "split"  # reserved columns of every table


_JUNK = {"__MACOSX", "Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini", "@eaDir", "$RECYCLE.BIN"}


def hidden(name: str) -> bool:
    """Files and folders that an operating system leaves behind, and those that start with a dot."""
    return name.startswith(".") or name in _JUNK


@dataclass(frozen=True)
class Unreadable:
    """In place of a picture: why its bytes could not be had."""

    reason: str


Payload = bytes | np.ndarray | Unreadable
"""An encoded file; or pixels (H, W) or (H, W, C), uint8 or uint16; or the reason that there are none."""


class Reader(Protocol):
    """Reads pictures of a source. Made anew in each process from `settings` and `places`."""

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """One payload for each of these rows of the table (int64, ascending), in order."""
        ...


@dataclass(frozen=True)
class Source:
    """A set of candidates that nothing has been decoded of.

    kind           which reader reads it: a key of `limner.data.sources.READERS`
    name           a short name for people and for the cache
    layout         how the pictures were found, for people
    table          one row a candidate: `file`, perhaps `split`, and every column of metadata
    settings       what the reader needs besides, as plain values
    places         where the reader finds each candidate: a table of as many rows
    label_names    names behind integer labels, by column
    label_column   the column that gives the classes when nobody names one
    caption_column the column that gives captions when nobody names one
    group_column   integers, equal for pictures that the division must not tear: frames of a film, slices of a scan
    order_column   integers, the place of a picture in its group
    about          of a stream: how many shards, bytes and pictures there are, and how it is shuffled
    """

    kind: str
    name: str
    layout: str
    table: pa.Table
    settings: dict[str, Any]
    places: pa.Table | None = None
    label_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    label_column: str | None = None
    caption_column: str | None = None
    set_aside: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    group_column: str | None = None
    order_column: str | None = None
    about: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.table.num_rows


@dataclass(frozen=True)
class Found:
    """A set that is there but has not been looked into.

    `stamp` changes whenever the contents do, and is cheap: a set that is packed already is never opened. Of a stream it
    is the head; `shards` have the rest.
    """

    name: str
    stamp: str
    open: Callable[[], Source]
    shards: Shards | None = None


def stamp_of(*parts: Iterable[int] | str | bytes | np.ndarray | pa.Array | pa.ChunkedArray) -> str:
    """A hash over strings, numbers, arrays and Arrow columns, without making an object of each value."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode("utf-8", "surrogatepass"))
        elif isinstance(part, bytes):
            digest.update(part)
        elif isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part).data)
        elif isinstance(part, pa.Array | pa.ChunkedArray):
            chunks = part.chunks if isinstance(part, pa.ChunkedArray) else [part]
            for chunk in chunks:
                digest.update(pa.record_batch([chunk], [""]).serialize())
        else:
            digest.update(repr(list(part)).encode())
        digest.update(b"\x1f")
    return digest.hexdigest()[:32]


def stamp_of_files(paths: Iterable[Path], *more: str) -> str:
    """A stamp from the names, sizes and times of files."""
    states = [(path.name, path.stat()) for path in paths]
    return stamp_of(*more, *(f"{name}:{state.st_size}:{state.st_mtime_ns}" for name, state in states))


def numbered(count: int, prefix: str = "") -> pa.ChunkedArray:
    """Names for pictures that come without one: their number in the source."""
    width = len(str(max(count - 1, 0)))
    step = 1_000_000
    chunks = [
        pa.array([f"{prefix}{i:0{width}d}" for i in range(at, min(at + step, count))], pa.large_string())
        for at in range(0, count, step)
    ]
    return pa.chunked_array(chunks, pa.large_string())
