"""Columns of metadata as labels: which of them are, and their values as numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limner.data.options import DataOptions
from limner.data.sources.base import FILE, SPLIT, Source
from limner.data.sources.metadata import LABEL_COLUMNS
from limner.errors import UserError, unknown
from limner.labels import FINE, Range

MAX_VALUES = 1000
"""A column with more values than this is a label only where a person says so."""
MOST_CLASSES = 20
"""A column of numbers with more values than this is one scale, unless it is called a label or a person says so."""
_PROBE = 20_000


@dataclass(frozen=True)
class LabelColumn:
    """One column of labels.

    codes: int32 (n,), -1 where there is no value. values: what the codes stand for, () for a number.
    numbers: float64 (n,) of a number, NaN where there is none. range: its ends, which are the codes 0 and `FINE`.
    """

    codes: np.ndarray
    values: tuple[str, ...]
    numbers: np.ndarray | None = None
    range: Range | None = None

    def take(self, rows: np.ndarray) -> LabelColumn:
        """The column of some pictures."""
        numbers = None if self.numbers is None else self.numbers[rows]
        return replace(self, codes=self.codes[rows], numbers=numbers)

    def scaled(self, train: np.ndarray) -> LabelColumn:
        """Of a number: codes on the range of the training pictures `train`; others beyond it have its ends."""
        if self.numbers is None:
            return self
        seen = self.numbers[train]
        seen = seen[np.isfinite(seen)]
        low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 0.0)
        return replace(self, codes=codes_of(self.numbers, (low, high)), range=(low, high))


def codes_of(numbers: np.ndarray, ends: Range) -> np.ndarray:
    """Labels (n,) int32 of numbers (n,) on a range, those beyond it at its ends; -1 for what is no number."""
    low, high = ends
    known = np.isfinite(numbers)
    place = np.clip((np.where(known, numbers, low) - low) / ((high - low) or 1.0), 0.0, 1.0)
    return np.where(known, np.rint(place * FINE), -1).astype(np.int32)


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sorting key that puts s2 before s10."""
    parts = re.split(r"(\d+)", text)
    return tuple((1, int(p), "") if p.isdigit() and p.isascii() else (0, 0, p) for p in parts)


def label_columns(source: Source, options: DataOptions) -> dict[str, LabelColumn]:
    """Every column that labels the pictures, the one that gives the classes first.

    That one is the first named in `options.labels`, else the source's own; others are those with few values, each met
    several times. Raises UserError for a named column that is not there or can be no labels.
    """
    names = [name for name in source.table.column_names if name not in (FILE, SPLIT)]
    for name in options.label_columns:
        if name not in names:
            raise (
                unknown("label column", name, names)
                if names
                else UserError(f"no column {name!r}: the pictures of {source.name!r} come without labels")
            )
    first = options.label_columns or ((source.label_column,) if source.label_column else ())
    caption = caption_column(source, options)
    found: dict[str, LabelColumn] = {}
    own = (caption, source.group_column, source.order_column)
    for name in [*first, *(n for n in names if n not in first and n not in own)]:
        column = source.table[name]
        if name in first:
            _refuse_nested(name, column)
        elif not _few_values(column):
            continue
        if name in first and _is_number(name, column, options.label_kinds.get(name), source.label_names):
            found[name] = _number(name, column)
        else:
            found[name] = encode(column, source.label_names.get(name))
    return found


def class_column(labels: Mapping[str, LabelColumn], source: Source, options: DataOptions) -> str | None:
    """The column that gives the classes, if any: the first of those that are meant that is no number."""
    meant = options.label_columns or ((source.label_column,) if source.label_column else ())
    return next((name for name in meant if labels[name].numbers is None), None)


def caption_column(source: Source, options: DataOptions) -> str | None:
    """The column that gives captions, if any. Raises UserError for a named one that is not there."""
    if options.captions is None:
        return source.caption_column
    names = [name for name in source.table.column_names if name not in (FILE, SPLIT)]
    if options.captions not in names:
        raise (
            unknown("caption column", options.captions, names)
            if names
            else UserError(f"no column {options.captions!r}: the pictures of {source.name!r} come without captions")
        )
    return options.captions


def captions(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as captions: the first of a list, numbers as text, blank as none."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pc.list_element(pc.if_else(pc.equal(pc.list_value_length(column), 0), None, column), 0)
    if pa.types.is_nested(column.type):
        raise UserError(f"captions are text, but the column named for them holds {column.type}")
    column = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.large_string()), column)


def encode(column: pa.ChunkedArray, names: Sequence[str] | None = None) -> LabelColumn:
    """Values as codes in natural order; with `names`, integers are codes already."""
    if names is not None and pa.types.is_integer(column.type):
        codes = pc.fill_null(column, -1).to_numpy().astype(np.int32)
        if len(codes) and codes.max() >= len(names):
            raise UserError(f"a label is {codes.max()}, but there are only {len(names)} class names")
        return LabelColumn(np.maximum(codes, -1), tuple(names))
    if pa.types.is_floating(column.type):
        column = column.cast(pa.int64()) if _whole(column) else column
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column.cast(pa.large_string()))
    coded = column.unify_dictionaries().combine_chunks()
    if isinstance(coded, pa.ChunkedArray):
        coded = pa.concat_arrays(coded.chunks)
    values = [str(value) for value in coded.dictionary.to_pylist()]
    order = sorted(range(len(values)), key=lambda i: natural(values[i]))
    rank = np.empty(len(values) + 1, dtype=np.int32)
    rank[order] = np.arange(len(values), dtype=np.int32)
    rank[-1] = -1
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    return LabelColumn(rank[codes], tuple(values[i] for i in order))


def _labelable(kind: pa.DataType) -> bool:
    types = pa.types
    return (
        types.is_string(kind) or types.is_large_string(kind) or types.is_integer(kind) or types.is_boolean(kind)
        or types.is_dictionary(kind)
    )  # fmt: skip


def _few_values(column: pa.ChunkedArray) -> bool:
    """Two to MAX_VALUES values, each met four times or more on average; a probe spares long columns of names."""
    if not _labelable(column.type) or pa.types.is_dictionary(column.type):
        return pa.types.is_dictionary(column.type)
    probe = column.slice(0, _PROBE)
    if pc.count_distinct(probe).as_py() > max(MAX_VALUES, len(probe) // 4):
        return False
    return 2 <= pc.count_distinct(column).as_py() <= min(MAX_VALUES, len(column) // 4)


def _whole(column: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.fill_null(pc.equal(pc.floor(column), column), True)).as_py())


def _is_number(name: str, column: pa.ChunkedArray, said: str | None, label_names: Mapping[str, Sequence[str]]) -> bool:
    """Whether a column is one scale: as was said, else where it holds fractions or many different whole numbers."""
    numeric = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    if said is not None:
        if said == "number" and not numeric:
            raise UserError(f"the column {name!r} cannot be a number: it holds {column.type}")
        return said == "number"
    if not numeric or name in label_names:
        return False
    if pa.types.is_floating(column.type) and not _whole(column):
        return True
    return name.lower() not in LABEL_COLUMNS and pc.count_distinct(column).as_py() > MOST_CLASSES


def _number(name: str, column: pa.ChunkedArray) -> LabelColumn:
    numbers = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan")).to_numpy()
    if not np.isfinite(numbers).any():
        raise UserError(f"the column {name!r} cannot be a number: it holds none")
    return LabelColumn(np.full(len(numbers), -1, np.int32), (), numbers)


def _refuse_nested(name: str, column: pa.ChunkedArray) -> None:
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise UserError(f"the column {name!r} cannot be labels: it holds {column.type}")
