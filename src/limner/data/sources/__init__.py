"""Where pictures come from: one kind, one file. A new kind adds a file, a row below, and a line in `find`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from limner.data.options import DataOptions
from limner.data.sources.base import Reader, Source
from limner.errors import UserError, nearest

READERS = {
    "arrays": "limner.data.sources.arrays:ArrayReader",
    "digits": "limner.data.sources.digits:DigitsReader",
    "folder": "limner.data.sources.folder:FolderReader",
}

BUILT_IN = {
    "digits": "limner.data.sources.digits:open_digits",
}


def _named(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


def open_reader(kind: str, settings: dict[str, Any], places: pa.Table | None) -> Reader:
    """The reader of a kind of source, in whatever process asks for it."""
    reader: Reader = _named(READERS[kind])(settings, places)
    return reader


def find(data: str | Path, options: DataOptions) -> Source:
    """What `data` names: a built-in set (`shapes`, or `shapes:5000` for a number), a folder or a file.

    Raises UserError where there is nothing of that name, or nothing in it that could be pictures.
    """
    name, _, number = str(data).partition(":")
    if name in BUILT_IN:
        if number and not (number.isdigit() and int(number)):
            raise UserError(f"{str(data)!r} asks for {number!r} pictures: give a number, such as {name}:5000")
        source: Source = _named(BUILT_IN[name])(int(number) if number else options.limit, options)
        return source
    path = Path(data).expanduser()
    try:
        if path.is_dir():
            return _folder(path, options)
        if path.is_file():
            return _file(path, options)
        there = path.exists()
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {str(data)!r} ({getattr(error, 'strerror', None) or error})") from error
    if there:
        raise UserError(f"{str(data)!r} is neither a folder nor a regular file")
    raise UserError(
        f"there is no folder or file {str(data)!r}{nearest(str(data), BUILT_IN)} (built-in sets: {', '.join(sorted(BUILT_IN))})"
    )


def _folder(path: Path, options: DataOptions) -> Source:
    from limner.data.sources import arrays, folder

    if found := arrays.idx_folder(path):
        return arrays.open_idx(found, path.resolve().name, options)
    return folder.open_folder(path, options)


def _file(path: Path, options: DataOptions) -> Source:
    from limner.data.sources import arrays, folder

    if not path.stat().st_size:
        raise UserError(f"the file {str(path)!r} is empty")
    if path.suffix.lower() in (".npy", ".npz"):
        return arrays.open_array(path, options)
    if arrays.is_idx(arrays.head_of(path)):
        return arrays.open_idx([path], path.name.split(".")[0], options)
    return folder.open_single(path, options)
