"""Sets that are one array: idx (Y. LeCun's MNIST format), .npy and .npz, read through memory maps."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from limner.data.cache import unpacked_place
from limner.data.sources.base import FILE, SPLIT, SPLIT_NAMES, Found, Payload, Source, numbered, stamp_of_files
from limner.errors import UserError

_IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_IDX_NAME = re.compile(
    r"(?P<stem>.*?)[-_.]?(?P<kind>images|labels)[-_.]?idx(?P<dims>\d)[-_.]?ubyte(\.gz)?$", re.IGNORECASE
)


class Part(NamedTuple):
    """One array of pictures in a file: where it lies, its labels if there are any, and the part of the set it is."""

    path: Path
    member: str | None
    labels: np.ndarray | None
    split: str | None


def is_idx(head: bytes) -> bool:
    """Whether a file starts as idx does: two zero bytes, a known type, one to four dimensions."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in _IDX_TYPES and 1 <= head[3] <= 4


def head_of(path: Path, length: int = 16) -> bytes:
    """The first bytes of a file, of its contents where it is gzipped."""
    with path.open("rb") as file:
        head = file.read(length)
    if head[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path) as inner:
                return inner.read(length)
        except (OSError, EOFError):
            return head
    return head


def idx_files(files: list[Path]) -> list[Path]:
    """Those of some files that hold idx pictures, as MNIST and its relatives come."""
    return [path for path in files if is_idx(head := head_of(path)) and head[3] >= 3]


def find_idx(paths: list[Path], name: str) -> Found:
    """Pictures in idx files, each with the labels that lie beside it."""
    beside = [label for path in paths for label in sorted(path.parent.iterdir()) if _is_labels(label, path)]
    return Found(name, stamp_of_files([*paths, *beside]), lambda: _open_idx(paths, name))


def find_array(path: Path) -> Found:
    """.npy, or .npz with `x` (and `y`), with `x_train` and so on, or with one array of pictures."""
    return Found(path.stem, stamp_of_files([path]), lambda: _open_array(path))


def _open_idx(paths: list[Path], name: str) -> Source:
    parts = []
    for path in paths:
        match = _IDX_NAME.match(path.name)
        stem = match["stem"].lower() if match else ""
        beside = [p for p in sorted(path.parent.iterdir()) if _is_labels(p, path)]
        labels = np.asarray(_load(beside[0], None)).astype(np.int64) if beside else None
        parts.append(Part(path, None, labels, SPLIT_NAMES.get(stem)))
    zipped = ", gzipped" if paths[0].suffix == ".gz" else ""
    return _source(parts, name, f"idx{zipped}")


def _is_labels(path: Path, images: Path) -> bool:
    if not path.is_file() or path == images or not is_idx(head := head_of(path)) or head[3] != 1:
        return False
    mine, other = _IDX_NAME.match(path.name), _IDX_NAME.match(images.name)
    return mine["stem"] == other["stem"] if mine and other else True


def _open_array(path: Path) -> Source:
    if path.suffix.lower() == ".npy":
        return _source([Part(path, None, None, None)], path.stem, "NumPy array")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{str(path)!r} is not a whole .npz file ({error})") from error
    pictures = {"x", "images", "pictures", "arr_0", "data", "samples"}
    labels_of = {
        "x": "y",
        "images": "labels",
        "pictures": "labels",
        "arr_0": "arr_1",
        "data": "labels",
        "samples": "labels",
    }
    parts = []
    for name in names:
        base, _, part = name.rpartition("_") if name not in pictures and "_" in name else (name, "", "")
        if base.lower() not in pictures or (part and part.lower() not in SPLIT_NAMES):
            continue
        label_name = labels_of[base.lower()] + (f"_{part}" if part else "")
        labels = np.asarray(_load(path, label_name)) if label_name in names else None
        parts.append(Part(path, name, labels, SPLIT_NAMES.get(part.lower())))
    if not parts:
        many = [name for name in names if len(_shape_of(path, name)) >= 3]
        if len(many) != 1:
            raise UserError(f"{str(path)!r} has no array 'x' of pictures (arrays: {', '.join(names) or 'none'})")
        parts = [Part(path, many[0], None, None)]
    return _source(parts, path.stem, f"NumPy archive (array {parts[0].member})")


def _source(parts: list[Part], name: str, layout: str) -> Source:
    files, splits, labels = [], [], []
    for part in parts:
        shape = _shape_of(part.path, part.member)
        picture_axes(shape, str(part.path))
        if part.labels is not None and part.labels.shape[:1] != shape[:1]:
            raise UserError(f"{part.path.name!r} has {shape[0]} pictures but {len(part.labels)} labels")
        files.extend(numbered(shape[0], f"{part.member or part.path.name}:").chunks)
        splits.append(pa.array([part.split], pa.string()).take(pa.array(np.zeros(shape[0], np.int64))))
        labels.append(pa.nulls(shape[0]) if part.labels is None else _label_column(part.labels))
    columns: dict[str, Any] = {FILE: pa.chunked_array(files, pa.large_string())}
    if any(part.split for part in parts):
        columns[SPLIT] = pa.chunked_array(splits)
    if labelled := any(part.labels is not None for part in parts):
        kind = next(column.type for column in labels if column.type != pa.null())
        columns["label"] = pa.chunked_array([column.cast(kind) for column in labels])
    return Source(
        kind="arrays",
        name=name,
        layout=layout,
        table=pa.table(columns),
        settings={"arrays": [[str(part.path.resolve()), part.member] for part in parts]},
        label_column="label" if labelled else None,
    )


def _shape_of(path: Path, member: str | None) -> tuple[int, ...]:
    """The shape of an array, from its header alone."""
    try:
        if member is None and path.suffix.lower() != ".npy":
            head = head_of(path)
            return tuple(np.frombuffer(head_of(path, 4 + 4 * head[3])[4:], ">u4").astype(int).tolist())
        if member is None:
            return np.load(path, mmap_mode="r", allow_pickle=False).shape
        with zipfile.ZipFile(path) as archive, archive.open(f"{member}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            return tuple(read(file)[0])
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"cannot read the array in {str(path)!r}: {' '.join(str(error).split())[:160]}") from error


def _label_column(labels: np.ndarray) -> pa.Array:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:  # one-hot
        labels = labels.argmax(1)
    return pa.array(labels)


def picture_axes(shape: tuple[int, ...], where: str) -> str:
    """'NHW', 'NHWC' or 'NCHW', from the place of an axis of 1, 3 or 4. Raises UserError for anything else."""
    if len(shape) == 3 and all(shape):
        return "NHW"
    if len(shape) == 4 and all(shape):
        if shape[3] in (1, 3, 4):
            return "NHWC"
        if shape[1] in (1, 3, 4):
            return "NCHW"
    raise UserError(f"{where!r} holds an array of shape {shape}: pictures are (N, H, W), (N, H, W, C) or (N, C, H, W)")


def _scale(array: np.ndarray, where: str) -> str:
    """How values become pixels: by type, and for floats by their range over the whole array."""
    if array.dtype in (np.uint8, np.uint16):
        return array.dtype.name
    if array.dtype == np.bool_:
        return "bool"
    step = max(1, (1 << 24) // max(1, array[0].size))
    low = min(float(array[i : i + step].min()) for i in range(0, len(array), step))
    high = max(float(array[i : i + step].max()) for i in range(0, len(array), step))
    if array.dtype.kind in "iu":
        if low >= 0 and high <= 65535:
            return "uint8" if high <= 255 else "uint16"
    elif array.dtype.kind == "f":
        if low >= -1 and high <= 1:
            return "unit" if low >= 0 else "signed"
        if low >= 0 and high <= 255:
            return "uint8"
    raise UserError(
        f"{where!r} holds {array.dtype} values from {low:g} to {high:g}: pixels are 0 to 255, 0 to 1 or -1 to 1"
    )


def _load(path: Path, member: str | None) -> np.ndarray:
    """A memory map of an array; what is compressed is unpacked once into the cache."""
    try:
        if member is None and path.suffix.lower() == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if member is not None:
            return np.load(_unpacked(path, member), mmap_mode="r", allow_pickle=False)
        plain = path
        if _slice(path, 0, 2) == b"\x1f\x8b":
            plain = _unpacked(path, None)
        head = head_of(plain, 4)
        shape = tuple(np.frombuffer(_slice(plain, 4, 4 * head[3]), ">u4").astype(int).tolist())
        kind = np.dtype(_IDX_TYPES[head[2]])
        start = 4 + 4 * head[3]
        if plain.stat().st_size < start + kind.itemsize * int(np.prod(shape)):
            raise UserError(f"{str(path)!r} is cut off: it promises {shape[0]} items of {shape[1:]} but ends before")
        return np.memmap(plain, kind, "r", start, shape)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"cannot read the array in {str(path)!r}: {' '.join(str(error).split())[:160]}") from error


def _slice(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _unpacked(path: Path, member: str | None) -> Path:
    """The plain file in the cache, made if it is not there; a file is whole because it is renamed into place."""
    key = stamp_of_files([path], str(path.resolve()), str(member))
    target = unpacked_place(key + (".npy" if member else ".idx"))
    if target.exists():
        return target
    temporary = target.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as out:
            if member is None:
                with gzip.open(path) as inner:
                    shutil.copyfileobj(inner, out, 1 << 20)
            else:
                with zipfile.ZipFile(path) as archive, archive.open(f"{member}.npy") as file:
                    shutil.copyfileobj(file, out, 1 << 20)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


class ArrayReader:
    """Reads pictures out of one or more arrays, one after the other."""

    def __init__(self, settings: dict[str, Any], places: pa.Table | None) -> None:
        self.arrays = [_load(Path(path), member) for path, member in settings["arrays"]]
        self.scales = settings.get("scales") or self.prepare(settings)["scales"]
        self.starts = np.cumsum([0] + [len(array) for array in self.arrays])

    @staticmethod
    def prepare(settings: dict[str, Any]) -> dict[str, Any]:
        """Settings with the scale of each array, which takes a look at all its values."""
        found = [_scale(_load(Path(path), member), path) for path, member in settings["arrays"]]
        return {**settings, "scales": found}

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """See `Reader.read`."""
        edges = np.searchsorted(rows, self.starts)
        for number, (array, scale) in enumerate(zip(self.arrays, self.scales, strict=True)):
            mine = rows[edges[number] : edges[number + 1]] - self.starts[number]
            step = max(1, (1 << 22) // max(1, array[0].nbytes))
            for at in range(0, len(mine), step):
                block = to_pixels(np.asarray(array[mine[at : at + step]]), scale)
                yield from np.moveaxis(block, 1, -1) if picture_axes(array.shape, "") == "NCHW" else block


def to_pixels(values: np.ndarray, scale: str) -> np.ndarray:
    """Values of an array as uint8 or uint16, by the scale that was found for the whole array."""
    if scale == "bool":
        return values.astype(np.uint8) * 255
    if scale in ("unit", "signed"):
        values = values.astype(np.float64)
        return np.rint((values if scale == "unit" else (values + 1) / 2) * 255).astype(np.uint8)
    return np.rint(values).astype(scale) if values.dtype.kind == "f" else values.astype(scale, copy=False)
