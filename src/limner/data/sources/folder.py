"""A folder of pictures, or one picture file. Imports little at its top: every decoding process imports it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from limner.data.options import DataOptions
from limner.data.sources.base import (
    MAX_FILE,
    PACK_MARK,
    Found,
    Payload,
    Source,
    Unreadable,
    hidden,
    stamp_of,
    stamp_of_files,
)
from limner.errors import UserError

if TYPE_CHECKING:
    from limner.data.sources.tree import Columns, Tree


def open_tree(root: Path, walked: Walked, options: DataOptions) -> Source:
    """The pictures below `root`, with what their folders and the files beside them say."""
    from limner.data.sources import layout

    found = layout.interpret(walked.tree, options)
    return Source(
        kind="folder",
        name=root.resolve().name or "root",
        layout=found.layout,
        table=found.table,
        settings={"root": str(root.resolve())},
        places=found.places,
        label_column=found.label_column,
        caption_column=found.caption_column,
        set_aside=walked.set_aside + found.set_aside,
        notes=found.notes,
    )


def find_single(path: Path) -> Found:
    """One picture file as a set of one."""
    source = Source(
        kind="folder",
        name=path.stem,
        layout="one picture",
        table=pa.table({"file": pa.array([path.name], pa.large_string())}),
        settings={"root": str(path.resolve().parent)},
        places=pa.table({"path": pa.array([os.fsencode(path.name)], pa.large_binary())}),
    )
    return Found(path.stem, stamp_of_files([path]), lambda: source)


class Walked(NamedTuple):
    """Files below a folder, what is set aside with reasons, and a stamp over all names, sizes and times."""

    tree: Tree
    set_aside: tuple[tuple[str, str], ...]
    stamp: str


def walk(root: Path) -> Walked:
    """Every file below `root`: links are followed once, loops and special files are not."""
    import pyarrow.compute as pc

    from limner.data.sources.tree import Columns, Tree

    columns = Columns(path=pa.large_binary(), size=pa.int64(), time=pa.int64())
    aside: list[tuple[str, str]] = []
    top = os.fsencode(root)
    stack = [b""]
    seen: set[tuple[int, int]] = set()
    while stack:
        relative = stack.pop()
        where = os.path.join(top, relative) if relative else top
        try:
            state = os.stat(where)
            if (state.st_dev, state.st_ino) in seen:
                aside.append((text(relative), "a loop of links, or a folder that was read already"))
                continue
            seen.add((state.st_dev, state.st_ino))
            if os.path.exists(os.path.join(where, PACK_MARK)):
                continue  # a packed set that was put beside the pictures
            inner: list[bytes] = []
            with os.scandir(where) as entries:
                for entry in entries:
                    _visit(entry, relative, columns, inner, aside)
            # Which name of a folder reached twice is kept must not depend on the disk's order.
            stack.extend(sorted(inner, reverse=True))
        except OSError as error:
            if not relative:
                raise UserError(f"cannot read the folder {str(root)!r}: {error.strerror}") from error
            aside.append((text(relative), f"cannot be read ({error.strerror})"))
    table = columns.table()
    table = table.take(pc.sort_indices(table["path"]))
    stamp = stamp_of(table["path"], table["size"], table["time"])
    for mask, reason in (
        (pc.equal(table["size"], 0), "empty file"),
        (pc.greater(table["size"], MAX_FILE), f"gigantic: more than {MAX_FILE >> 20} MiB"),
    ):
        aside.extend((text(path), reason) for path in table["path"].filter(mask).to_pylist())
    table = table.filter(pc.and_(pc.greater(table["size"], 0), pc.less_equal(table["size"], MAX_FILE)))
    try:
        paths = table["path"].cast(pa.large_string())
    except pa.ArrowInvalid:  # names that are not UTF-8
        paths = pa.chunked_array([pa.array([text(p.as_py()) for p in table["path"]], pa.large_string())])
    raw = table["path"]

    def load(i: int) -> bytes:
        return Path(os.fsdecode(os.path.join(top, raw[i].as_py()))).read_bytes()

    return Walked(Tree(paths, table.select(["path"]), load), tuple(aside), stamp)


def walk_one(path: Path) -> Walked:
    """A single file, as if it lay alone in its folder."""
    from limner.data.sources.tree import Tree

    names = pa.chunked_array([[path.name]], pa.large_string())
    places = pa.table({"path": pa.array([os.fsencode(path.name)], pa.large_binary())})
    return Walked(Tree(names, places, lambda i: path.read_bytes()), (), stamp_of_files([path]))


def _visit(
    entry: os.DirEntry[bytes], relative: bytes, columns: Columns, stack: list[bytes], aside: list[tuple[str, str]]
) -> None:
    if hidden(os.fsdecode(entry.name)):
        return
    path = relative + b"/" + entry.name if relative else entry.name
    try:
        state = entry.stat()
    except OSError as error:
        aside.append((text(path), "a link to nothing" if entry.is_symlink() else f"cannot be read ({error.strerror})"))
        return
    if stat.S_ISDIR(state.st_mode):
        stack.append(path)
    elif stat.S_ISREG(state.st_mode):
        columns.add(path=path, size=state.st_size, time=state.st_mtime_ns)
    else:
        aside.append((text(path), "not a regular file"))


def text(path: bytes) -> str:
    """A path for people: what is not UTF-8 is shown as such."""
    return path.decode("utf-8", "replace")


class FolderReader:
    """Reads files below `settings['root']`."""

    def __init__(self, settings: dict[str, Any], places: pa.Table | None) -> None:
        assert places is not None
        self.root, self.paths = os.fsencode(settings["root"]), places["path"]

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """See `Reader.read`."""
        for row in rows.tolist():
            try:
                with open(os.path.join(self.root, self.paths[row].as_py()), "rb", buffering=0) as file:
                    yield file.read()
            except OSError as error:
                yield Unreadable(f"cannot be read ({error.strerror})")
