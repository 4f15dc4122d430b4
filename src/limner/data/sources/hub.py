"""Sets that the `datasets` library reads: `hf:owner/name[/configuration][:split]`, or a folder instead of a name."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

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
from limner.data.sources.parquet import holds_bytes, picture_column
from limner.errors import MissingExtra, UserError, unknown

PREFIX = "hf:"


def find_hub(data: str) -> Found:
    """A set by its name on the hub, or a folder that `datasets` can load; all of its splits, or the one named.

    The library keeps it in a cache of its own, from which it is read.

    Raises:
        MissingExtra: without the library. UserError: no such set or split, no pictures in it, no way to the hub.
    """
    name, _, split = data.removeprefix(PREFIX).partition(":")
    if not name:
        raise UserError(f"{data!r} names no set: write it as {PREFIX}owner/name or {PREFIX}owner/name:split")
    splits = _load(name)
    if split and split not in splits:
        raise unknown("split", split, splits)
    parts = {part: found for part, found in splits.items() if not split or part == split}
    files = {part: [Path(file["filename"]) for file in found.cache_files] for part, found in parts.items()}
    stamp = stamp_of_files([file for part in sorted(files) for file in files[part]], f"hub-1 {name} {split}")
    return Found(name.rstrip("/").rpartition("/")[2], stamp, lambda: _open(name, parts, files))


def _load(name: str) -> dict[str, Any]:
    """The splits of a set by name."""
    try:
        import datasets
        from datasets.exceptions import DatasetNotFoundError
    except ImportError as error:
        raise MissingExtra("datasets", "hf", f"reading {PREFIX}{name}") from error
    folder = os.path.expanduser(name)
    owner, short, configuration = [*name.split("/", 2), "", ""][:3]
    if os.path.isdir(folder):
        where, configuration = folder, ""
    elif name.startswith(("/", ".", "~")):
        raise UserError(f"there is no folder {folder!r} for {PREFIX}{name}")
    else:
        where = f"{owner}/{short}" if short else owner
    log = logging.getLogger("huggingface_hub")
    before = log.level
    log.setLevel(logging.ERROR)  # it tells every one of its tries
    try:
        found = datasets.load_dataset(where, configuration or None)
    except DatasetNotFoundError as error:
        raise UserError(f"there is no set {where!r} on the hub, or it is not for everybody: check the name") from error
    except (ConnectionError, OSError) as error:
        raise UserError(f"cannot reach the hub for {where!r} ({_words(error)}): check the network") from error
    except ValueError as error:  # no configuration named, an unknown one, no data files
        raise UserError(f"{PREFIX}{name} cannot be read ({_words(error)}): {PREFIX}owner/name/configuration") from error
    finally:
        log.setLevel(before)
    return dict(found)


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _open(name: str, parts: dict[str, Any], files: dict[str, list[Path]]) -> Source:
    import datasets

    features = next(iter(parts.values())).features
    schema = next(iter(parts.values())).data.schema
    marked = {column: {"_type": "Image"} for column, kind in features.items() if isinstance(kind, datasets.Image)}
    picture = picture_column(schema, marked, f"{PREFIX}{name}")
    pictures = [field.name for field in schema if holds_bytes(field.type)]
    tables, places = [], []
    paths: list[str] = []
    for part, found in parts.items():
        others = [c for c in found.column_names if c not in pictures]
        table = found.data.table.select(others).replace_schema_metadata(None)
        columns: dict[str, Any] = {FILE: numbered(len(found), f"{part} ")}
        if len(parts) > 1:
            columns[SPLIT] = pa.array([SPLIT_NAMES.get(part.lower(), part)]).take(pa.array(np.zeros(len(found), int)))
        for other in others:
            columns[f"{other}_" if other in columns else other] = table[other]
        tables.append(pa.table(columns))
        for file in files[part]:
            count = _table(str(file)).num_rows
            numbers = {"file": np.full(count, len(paths), np.int32), "row": np.arange(count)}
            places.append(pa.table({column: pa.array(values) for column, values in numbers.items()}))
            paths.append(str(file))
    table, place = join(tables), pa.concat_tables(places)
    assert table.num_rows == place.num_rows, "a set as it was loaded is what lies in its files"
    names = [column for column in table.column_names if column not in (FILE, SPLIT)]
    labels = {c: tuple(k.names) for c, k in features.items() if isinstance(k, datasets.ClassLabel) and k.names}
    return Source(
        kind="hub",
        name=name.rstrip("/").rpartition("/")[2],
        layout=f"set of the hub, pictures in column {picture!r}"
        + (f", parts {', '.join(parts)}" if len(parts) > 1 else ""),
        table=table,
        settings={"files": paths, "column": picture},
        places=place,
        label_names=labels,
        label_column=pick(names, LABEL_COLUMNS) or next(iter(labels), None),
        caption_column=pick(names, CAPTION_COLUMNS),
    )


def _table(path: str) -> pa.Table:
    """An Arrow stream as `datasets` writes it, in place."""
    return pa.ipc.open_stream(pa.memory_map(path)).read_all()


class HubReader:
    """Reads rows of Arrow files."""

    def __init__(self, settings: dict[str, Any], places: pa.Table | None) -> None:
        assert places is not None
        self.columns = [_table(path)[settings["column"]] for path in settings["files"]]
        self.places = places

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """See `Reader.read`."""
        files, numbers = (self.places[name].take(pa.array(rows)).to_pylist() for name in ("file", "row"))
        for file, row in zip(files, numbers, strict=True):
            yield _payload(self.columns[file][row].as_py())


def _payload(cell: dict[str, Any] | None) -> Payload:
    """The bytes of a picture, which the file has or names."""
    if cell is None or not (cell.get("bytes") or cell.get("path")):
        return Unreadable("no picture in this row")
    if cell.get("bytes"):
        return bytes(cell["bytes"])
    try:
        return Path(cell["path"]).read_bytes()
    except OSError as error:
        return Unreadable(f"cannot be read ({error.strerror or error})")
