"""Which candidates of a source are wanted: a part, some classes, a limit. Decided before anything is decoded."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limner.data.columns import LabelColumn, class_column
from limner.data.options import DataOptions
from limner.data.sources.base import SPLIT, SPLIT_NAMES, Source
from limner.errors import UserError, unknown


def select(source: Source, labels: dict[str, LabelColumn], options: DataOptions) -> np.ndarray:
    """Rows (int64, ascending) of the source that are wanted. Raises UserError for unknown names or if none is left."""
    wanted = np.ones(len(source), dtype=bool)
    if options.split is not None:
        wanted &= _of_split(source, options.split)
    if options.classes is not None:
        wanted &= _of_classes(source, labels, options)
    rows = np.flatnonzero(wanted)
    if options.limit is not None and len(rows) > options.limit:
        rows = np.sort(np.random.default_rng(options.seed).choice(rows, options.limit, replace=False))
    if not len(rows):
        raise UserError(
            f"no pictures are left in {source.name!r} with split={options.split!r} and classes={options.classes!r}"
        )
    return rows


def _of_split(source: Source, name: str) -> np.ndarray:
    if SPLIT not in source.table.column_names:
        raise UserError(f"{source.name!r} has no parts, so no split {name!r}: leave --split out")
    column = source.table[SPLIT]
    known = [part for part in pc.unique(column).to_pylist() if part]
    canonical = SPLIT_NAMES.get(name.lower(), name)
    if canonical not in known:
        raise unknown("split", name, known)
    return pc.fill_null(pc.equal(column, pa.scalar(canonical, column.type)), False).to_numpy()


def _of_classes(source: Source, labels: dict[str, LabelColumn], options: DataOptions) -> np.ndarray:
    column = class_column(labels, source, options)
    if column is None:
        raise UserError(f"{source.name!r} has no classes: name a column by --labels ({', '.join(labels) or 'none'})")
    values = labels[column].values
    for name in options.classes or ():
        if name not in values:
            raise unknown("class", name, values)
    keep = np.array([values.index(name) for name in options.classes or ()], dtype=np.int32)
    return np.isin(labels[column].codes, keep)


def of_combinations(labels: dict[str, LabelColumn], options: DataOptions) -> np.ndarray:
    """Which pictures (n,) have one of the combinations that `options.without` names.

    Raises UserError for a column or value that is not there, and for a combination that no picture has.
    """
    found = np.zeros(len(next(iter(labels.values())).codes) if labels else 0, dtype=bool)
    for combination in options.combinations:
        mask = np.ones(len(found), dtype=bool)
        for name, value in combination.items():
            if name not in labels:
                raise unknown("label column", name, labels)
            if labels[name].numbers is not None:
                raise UserError(f"--without {name}={value}: {name} is a number, and only classes can be left out")
            if value not in labels[name].values:
                raise unknown(name, value, labels[name].values)
            mask &= labels[name].codes == labels[name].values.index(value)
        if not mask.any():
            raise UserError(f"no picture has the combination {options.without!r}: leave --without out, or ask for less")
        found |= mask
    return found


def narrowed(
    labels: dict[str, LabelColumn], rows: np.ndarray, source: Source, options: DataOptions
) -> dict[str, LabelColumn]:
    """Label columns of the chosen rows. Chosen classes are numbered anew from 0; every other code stays."""
    result = {name: column.take(rows) for name, column in labels.items()}
    if options.classes is not None:
        name = class_column(labels, source, options) or ""
        values = labels[name].values
        kept = tuple(value for value in values if value in options.classes)
        new = np.full(len(values) + 1, -1, dtype=np.int32)
        new[[values.index(value) for value in kept]] = np.arange(len(kept), dtype=np.int32)
        result[name] = LabelColumn(new[result[name].codes], kept)
    return result
