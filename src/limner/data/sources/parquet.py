"""Parquet files as Hugging Face writes them: a column of encoded pictures, others with labels and captions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from limner.data.sources.base import (
    FILE,
    SPLIT,
    SPLIT_NAMES,
    Found,
    Payload,
    Source,
    Unreadable,
    numbered,
    stamp_of_files,
)
from limner.data.sources.metadata import CAPTION_COLUMNS, LABEL_COLUMNS, join, pick
from limner.errors import UserError

_USUAL = ("image", "img", "picture", "jpg", "png", "webp", "pixel_values", "bytes")


def find_parquet(paths: list[Path], name: str, root: Path) -> Found:
    """Pictures in parquet files; parts by the files' names (`train-00000-of-00002.parquet`) or folders."""
    paths = sorted(paths)
    return Found(name, stamp_of_files(paths), lambda: _open(paths, name, root))


def _open(paths: list[Path], name: str, root: Path) -> Source:
    files = [_parquet(path) for path in paths]
    features = features_in(files[0].schema_arrow)
    column = picture_column(files[0].schema_arrow, features, paths[0])
    tables, places, splits = [], [], []
    for number, (path, file) in enumerate(zip(paths, files, strict=True)):
        if column not in file.schema_arrow.names:
            raise UserError(f"{path.name!r} has no column {column!r}, which {paths[0].name!r} has")
        count = file.metadata.num_rows
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        table = file.read(columns=[c for c in file.schema_arrow.names if c != column])
        tables.append(table.replace_schema_metadata(None).append_column("\0", _names(file, column, count, path.name)))
        places.append(
            pa.table(
                {
                    "file": pa.array(np.full(count, number, np.int32)),
                    "group": pa.array(np.repeat(np.arange(len(groups), dtype=np.int32), groups)),
                    "row": pa.array(
                        np.concatenate([np.arange(g, dtype=np.int32) for g in groups] or [np.empty(0, np.int32)])
                    ),
                }
            )
        )
        splits.append(pa.array([_split(path, root)], pa.string()).take(pa.array(np.zeros(count, np.int64))))
    table = join(tables)
    names = table["\0"]
    table = table.drop_columns(["\0"])
    columns: dict[str, Any] = {FILE: names}
    parts = {_split(path, root) for path in paths}
    if len(parts) > 1:
        columns[SPLIT] = pa.chunked_array(splits)
    for other in table.column_names:
        columns[f"{other}_" if other in columns else other] = table[other]
    labels = {c: tuple(f["names"]) for c, f in features.items() if f.get("_type") == "ClassLabel" and f.get("names")}
    return Source(
        kind="parquet",
        name=name,
        layout=f"parquet, pictures in column {column!r}" + (f", {len(paths)} files" if len(paths) > 1 else ""),
        table=pa.table(columns),
        settings={"files": [str(path.resolve()) for path in paths], "column": column},
        places=pa.concat_tables(places),
        label_names=labels,
        label_column=pick(table.column_names, LABEL_COLUMNS) or next(iter(labels), None),
        caption_column=pick(table.column_names, CAPTION_COLUMNS),
    )


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"cannot read {str(path)!r}: {' '.join(str(error).split())[:160]}") from error


def features_in(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """What `datasets` writes into the schema: the type of each column, with the names of classes."""
    raw = (schema.metadata or {}).get(b"huggingface")
    found = json.loads(raw).get("info", {}).get("features", {}) if raw else {}
    return {name: value for name, value in found.items() if isinstance(value, dict)}


def picture_column(schema: pa.Schema, features: dict[str, dict[str, Any]], path: Path | str) -> str:
    """The column of encoded pictures. Raises UserError where there is none."""
    able = [field.name for field in schema if holds_bytes(field.type)]
    marked = [name for name in able if features.get(name, {}).get("_type") == "Image"]
    usual = [name for name in _USUAL if name in able]
    if not able:
        raise UserError(f"{str(path)!r} has no column of encoded pictures (columns: {', '.join(schema.names)})")
    return (marked or usual or able)[0]


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether a column has bytes, plainly or as the bytes of an encoded picture."""
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and holds_bytes(kind.field("bytes").type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _names(file: pq.ParquetFile, column: str, count: int, name: str) -> pa.ChunkedArray:
    """The pictures' own file names where the column has them, else the file's name and a number."""
    kind = file.schema_arrow.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("path") >= 0:
        paths = file.read(columns=[f"{column}.path"])[column]
        inner = pa.chunked_array([chunk.field("path") for chunk in paths.chunks], pa.string()).cast(pa.large_string())
        if not inner.null_count:
            return inner
    return numbered(count, f"{name}:")


def _split(path: Path, root: Path) -> str | None:
    """The part that a file's name or folder tells: train-00000-of-00002, test.parquet, data/validation/0.parquet."""
    words = re.split(r"[-_.]", path.stem)[:1] + list(path.resolve().parent.parts[len(root.resolve().parts) :])
    return next((SPLIT_NAMES[word.lower()] for word in words if word.lower() in SPLIT_NAMES), None)


class ParquetReader:
    """Reads a row group at a time, and keeps the last one."""

    def __init__(self, settings: dict[str, Any], places: pa.Table | None) -> None:
        assert places is not None
        self.files = [pq.ParquetFile(path, memory_map=True) for path in settings["files"]]
        self.column, self.places = settings["column"], places
        self._kept: tuple[tuple[int, int], pa.Array | None] = ((-1, -1), None)

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """See `Reader.read`."""
        columns = [self.places[name] for name in ("file", "group", "row")]
        for number in rows.tolist():
            file, group, row = (column[number].as_py() for column in columns)
            data = self._group(file, group)[row].as_py()
            yield Unreadable("no picture in this row") if data is None else data

    def _group(self, file: int, group: int) -> pa.Array:
        if self._kept[0] != (file, group):
            self._kept = ((-1, -1), None)  # let go of the old one before the new one is read
            values = self.files[file].read_row_group(group, columns=[self.column])[self.column]
            if pa.types.is_struct(values.type):
                values = pa.chunked_array([chunk.field("bytes") for chunk in values.chunks])
            self._kept = ((file, group), values)
        return self._kept[1]
