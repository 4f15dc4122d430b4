"""File names as Arrow columns: the same questions are asked of a folder and of an archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limner.data.sources.base import FILE

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Tree:
    """Files below one place, sorted by path.

    paths   relative, with forward slashes, as text for people (large_string)
    places  one row a file: what a reader needs to find it
    load    the bytes of file number i (for metadata and captions, not for pictures)
    """

    paths: pa.ChunkedArray
    places: pa.Table
    load: Callable[[int], bytes]

    def take(self, rows: np.ndarray) -> Tree:
        """The files numbered `rows`, in that order."""
        rows = np.asarray(rows, dtype=np.int64)
        load = self.load
        return Tree(self.paths.take(pa.array(rows)), self.places.take(pa.array(rows)), lambda i: load(int(rows[i])))


class Columns:
    """Grows Arrow columns from single values, a chunk at a time, so that no list of all values ever exists."""

    def __init__(self, **types: pa.DataType) -> None:
        self.types = types
        self._open: dict[str, list[object]] = {name: [] for name in types}
        self._closed: dict[str, list[pa.Array]] = {name: [] for name in types}
        self.rows = 0

    def add(self, **values: object) -> None:
        """One more row; a column that is not named stays as long as it was, so name them all."""
        for name, value in values.items():
            self._open[name].append(value)
        self.rows += 1
        if self.rows % _CHUNK == 0:
            self._flush()

    def _flush(self) -> None:
        for name, kind in self.types.items():
            self._closed[name].append(pa.array(self._open[name], kind))
            self._open[name] = []

    def table(self) -> pa.Table:
        """All rows so far."""
        self._flush()
        return pa.table({name: pa.chunked_array(self._closed[name], kind) for name, kind in self.types.items()})


def pieces(table: pa.Table, group_of: np.ndarray, order_of: np.ndarray, group: str, order: str) -> pa.Table:
    """Rows of what was taken apart: named "name:number", with columns of whose piece each is and of its number.

    Columns that have these names already get an underscore.
    """
    table = table.rename_columns([f"{name}_" if name in (group, order) else name for name in table.column_names])
    text = pa.large_string()
    numbers = pc.utf8_lpad(pa.array(order_of).cast(text), len(str(order_of.max())), "0")
    names = pc.binary_join_element_wise(table[FILE].cast(text), numbers, pa.scalar(":", text))
    table = table.set_column(table.column_names.index(FILE), FILE, names)
    return table.append_column(group, pa.array(group_of)).append_column(order, pa.array(order_of))


def folders_of(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """The folder part of each path, '' at the top."""
    return pc.replace_substring_regex(paths, r"(^|/)[^/]*$", "")


def names_of(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """The last part of each path."""
    return pc.replace_substring_regex(paths, r"^.*/", "")


def stems_of(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each path without its ending."""
    return pc.replace_substring_regex(paths, r"\.[^./]*$", "")


def first_of(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first folder of each path, '' for files at the top."""
    return pc.replace_substring_regex(pc.replace_substring_regex(paths, r"^[^/]*$", ""), r"/.*$", "")


def rest_of(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each path without its first folder."""
    return pc.replace_substring_regex(paths, r"^[^/]*/", "")


def sorted_tree(table: pa.Table, load: Callable[[pa.Table, int], bytes]) -> Tree:
    """A tree from a table with a column `path`, the other columns being the places."""
    table = table.take(pc.sort_indices(table["path"]))
    return Tree(table["path"], table.drop_columns(["path"]), lambda i: load(table, i))
