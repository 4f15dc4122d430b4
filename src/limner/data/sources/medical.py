"""Medical scans as slices: DICOM files and NIfTI volumes. Nothing that names a patient leaves this file.

Pictures are called by the number of their file and slice; folders, which often bear names, are classes only where a
person says so. Scans of one patient are held together by a number that stands for the identity and does not tell it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limner.data.options import DataOptions
from limner.data.sources import layout
from limner.data.sources.base import FILE, SPLIT, Found, Payload, Source, Unreadable
from limner.data.sources.folder import Walked, walk_one
from limner.errors import UserError

DICOM, NIFTI = r"(?i)\.(dcm|dicom|ima)$", r"(?i)\.nii(\.gz)?$"
SCAN, SLICE = "scan", "slice"
_MAGIC_AT, _MAGIC = 128, b"DICM"


class Unusable(Exception):
    """A file that is set aside; the message is the reason, without anything that the file says."""


def is_scan(path: Path) -> bool:
    """Whether a single file is one."""
    return bool(pc.match_substring_regex(pa.array([path.name]), f"{DICOM}|{NIFTI}")[0].as_py()) or _has_magic(path)


def are_scans(root: Path, paths: pa.ChunkedArray) -> bool:
    """Whether most files of a folder are scans, by their endings, or by their first bytes where they have none."""
    others = paths.filter(pc.invert(pc.match_substring_regex(paths, layout.TEXTS)))
    if not len(others):
        return False
    known = pc.sum(pc.match_substring_regex(others, f"{DICOM}|{NIFTI}")).as_py()
    bare = others.filter(pc.invert(pc.match_substring_regex(others, r"\.[^./]*$")))
    return 2 * known >= len(others) or (2 * len(bare) >= len(others) and _has_magic(root / bare[-1].as_py()))


def _has_magic(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC
    except OSError:
        return False


def find_scan(path: Path, options: DataOptions) -> Found:
    """One file."""
    walked = walk_one(path)
    return Found("scan", walked.stamp, partial(_open, path.parent, walked, options, "scan"))


def find_scans(root: Path, walked: Walked, options: DataOptions) -> Found:
    """A folder of files, of one kind or both."""
    name = root.resolve().name or "root"
    return Found(name, walked.stamp, partial(_open, root, walked, options, name))


def _open(root: Path, walked: Walked, options: DataOptions, name: str) -> Source:
    found = layout.interpret(walked.tree, options)
    paths = [os.fsdecode(path) for path in found.places["path"].to_pylist()]
    endings = pa.array(paths, pa.large_string())
    nifti = pc.match_substring_regex(endings, NIFTI).to_pylist()
    if options.slices not in (None, "axial") and not any(nifti):
        raise UserError(f"--slices {options.slices} is for NIfTI volumes: slices of DICOM files are taken as stored")
    files: list[list[str]] = []
    numbers: list[int] = []
    identities: list[str] = []
    chosen: list[np.ndarray] = []
    aside = [("(a file)", reason) for _, reason in walked.set_aside]
    for number, (path, is_nifti) in enumerate(zip(paths, nifti, strict=True)):
        where = os.path.join(root.resolve(), path)
        try:
            count, identity = _look(where, is_nifti, options)
        except Unusable as error:
            aside.append((f"file {number + 1} of {len(paths)} by name", str(error)))
            continue
        files.append([where, "nifti" if is_nifti else "dicom"])
        numbers.append(number)
        chosen.append(np.arange(0, count, options.stride if options.stride and not options.frames else 1))
        identities.append(identity)
    if not files:
        raise UserError(f"none of the {len(paths)} files of {name!r} is a scan ({aside[-1][0]}: {aside[-1][1]})")
    file_of = np.repeat(np.arange(len(files), dtype=np.int32), [len(slices) for slices in chosen])
    slice_of = np.concatenate(chosen).astype(np.int32)
    kinds = [
        f"{sum(k == kind for _, k in files):,} {words}" for kind, words in _KINDS if any(k == kind for _, k in files)
    ]
    notes = list(found.notes)
    if found.label_column == layout.CLASS_COLUMN and layout.CLASS_COLUMN not in options.label_columns:
        notes.append("folders are not taken as classes, since they often name patients; --labels folder does so")
    return Source(
        kind="scans",
        name=name,
        layout=", ".join(kinds),
        table=_columns(found.table, np.array(numbers)[file_of], file_of, slice_of, identities, options),
        settings={"files": files, "window": options.window, "slices": options.slices or "axial"},
        places=pa.table({"file": file_of, "slice": slice_of}),
        label_column=next(iter(options.label_columns), None),
        set_aside=tuple(aside),
        notes=tuple(notes),
        group_column=SCAN,
        order_column=SLICE,
    )


_KINDS = (("dicom", "DICOM files"), ("nifti", "NIfTI volumes"))


def _look(path: str, is_nifti: bool, options: DataOptions) -> tuple[int, str]:
    """How many slices a file has, and whose it is."""
    if is_nifti:
        from limner.data.sources import nifti

        return nifti.look(path, options.slices or "axial")
    from limner.data.sources import dicom

    return dicom.look(path)


def _columns(
    table: pa.Table,
    rows: np.ndarray,
    file_of: np.ndarray,
    slice_of: np.ndarray,
    identities: list[str],
    options: DataOptions,
) -> pa.Table:
    """The part and what was named as label or caption; names that tell nothing; whose scan it is, as a number."""
    wanted = {SPLIT, *options.label_columns, options.captions}
    kept = table.select([name for name in table.column_names if name in wanted]).take(pa.array(rows))
    wide = [len(str(max(1, int(values.max())))) for values in (rows + 1, slice_of)]
    names = [f"file {row + 1:0{wide[0]}d}:{i:0{wide[1]}d}" for row, i in zip(rows, slice_of, strict=True)]
    whose = {identity: number for number, identity in enumerate(dict.fromkeys(identities))}
    scans = np.array([whose[identity] for identity in identities], np.int32)[file_of]
    named = pa.table({FILE: pa.array(names, pa.large_string()), SCAN: pa.array(scans), SLICE: pa.array(slice_of)})
    for name in kept.column_names:
        named = named.append_column(name, kept[name])
    return named


class ScanReader:
    """Reads slices as grey values of 16 bits or colours of 8, a file at a time."""

    def __init__(self, settings: dict[str, Any], places: pa.Table | None) -> None:
        assert places is not None
        self.files, self.places = settings["files"], places
        self.window, self.slices = settings["window"], settings["slices"]

    def read(self, rows: np.ndarray) -> Iterator[Payload]:
        """See `Reader.read`."""
        if not len(rows):
            return
        chosen = self.places.take(pa.array(rows))
        file_of, slice_of = chosen["file"].to_numpy(), chosen["slice"].to_numpy()
        edges = [0, *(np.flatnonzero(np.diff(file_of)) + 1).tolist(), len(rows)]
        for first, last in zip(edges, edges[1:], strict=False):
            yield from self._file(int(file_of[first]), slice_of[first:last].tolist())

    def _file(self, number: int, slices: list[int]) -> Iterator[Payload]:
        path, kind = self.files[number]
        if kind == "nifti":
            from limner.data.sources import nifti

            pictures = nifti.read(path, slices, self.slices, self.window)
        else:
            from limner.data.sources import dicom

            pictures = dicom.read(path, slices, self.window)
        done = 0
        try:
            for picture in pictures:
                yield picture
                done += 1
        except Unusable as error:
            yield from (Unreadable(str(error)) for _ in slices[done:])


def windowed(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values from `low` to `high` as uint16 from 0 to 65535; what lies outside is cut, what is no number is 0."""
    unit = (np.asarray(values, np.float64) - low) / max(high - low, 1e-30)
    return np.rint(np.clip(np.nan_to_num(unit, nan=0.0), 0, 1) * 65535).astype(np.uint16)


def asked(window: str | None) -> tuple[float, float] | None:
    """The least and the greatest value of a window "center,width"; None for one that is to be found out."""
    if window is None or window == "full":
        return None
    center, width = (float(part) for part in window.split(","))
    return center - width / 2, center + width / 2
