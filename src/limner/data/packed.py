"""A packed set: pixels and index columns in plain memory maps, opened in milliseconds whatever its size."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from limner.data.sources.base import PACK_MARK
from limner.errors import UserError
from limner.labels import Range

FORMAT = 1
MANIFEST = PACK_MARK.decode()
UNSEEN = "unseen.npy"


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What lies in a pack; written last, so that a pack without one is none.

    key: of the source and the options. id: of the contents. files: sizes in bytes, by name. labels: values by column,
    none for a number, whose ends are in `ranges`. chosen: the columns that were named as labels.
    frames: of a clip, 0 where the set is one of single pictures.
    """

    format: int
    key: str
    id: str
    count: int
    rows_on_disk: int
    shape: tuple[int, int, int]
    depth: int
    class_column: str | None
    caption_column: str | None
    labels: dict[str, list[str]]
    files: dict[str, int]
    frames: int = 0
    ranges: dict[str, Range] = {}
    chosen: list[str] = []


def is_pack(path: Path) -> bool:
    """Whether a folder is a finished pack."""
    return (path / MANIFEST).is_file()


def open_pack(path: str | Path) -> Pack:
    """Opens a finished pack. Raises UserError for what is not one, or has lost a file."""
    path = Path(path)
    if not is_pack(path):
        raise UserError(f"{str(path)!r} is not a packed set: make one by limn data DATA --out {path}")
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
    except msgspec.MsgspecError as error:
        raise UserError(
            f"the pack {str(path)!r} is damaged or of another version ({error}): delete it and pack again"
        ) from error
    if manifest.format != FORMAT:
        raise UserError(f"the pack {str(path)!r} has format {manifest.format}, not {FORMAT}: delete it and pack again")
    for name, size in manifest.files.items():
        file = path / name
        if not file.is_file() or file.stat().st_size != size:
            raise UserError(
                f"the pack {str(path)!r} is damaged ({name} is missing or cut off): delete it and pack again"
            )
    return Pack(path, manifest)


class Pack:
    """Pictures ready to be trained on.

    path: its folder. id: hash of its contents. shape: (C, H, W). depth: 8 or 16 bits. classes: names of the first label
    column's values. attributes: every label column and its values, () for a number. ranges: the ends of each number.
    report: what the scan found.
    train, validation, held_out: row numbers, int64, ascending, disjoint; scores in training use `validation`, reported
    scores `held_out`. unseen: those that training was to see nothing of because of a combination they have.
    frames: of a clip, 0 for single pictures. A set of clips numbers them by their first picture: `train` and the others
    hold only those, `read` gives them, `clips` all of them.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self.id, self.depth, self.frames = manifest.id, manifest.depth, manifest.frames
        height, width, channels = manifest.shape
        self.shape = (channels, height, width)
        kind = np.uint8 if manifest.depth == 8 else np.uint16
        # A plain array over the map: np.memmap's own indexing costs more than the copy at small batches.
        self._pixels = np.asarray(
            np.memmap(path / "pixels.raw", kind, "r", 0, (manifest.rows_on_disk, *manifest.shape))
        )
        self._rows = np.load(path / "rows.npy", mmap_mode="r") if (path / "rows.npy").exists() else None
        self.train, self.validation, self.held_out = (
            np.asarray(np.load(path / f"{part}.npy", mmap_mode="r")) for part in ("train", "validation", "held_out")
        )
        self.unseen = np.load(path / UNSEEN) if UNSEEN in manifest.files else np.empty(0, np.int64)
        self.attributes = {name: tuple(values) for name, values in manifest.labels.items()}
        self.ranges = manifest.ranges
        self.classes = self.attributes[manifest.class_column] if manifest.class_column else ()
        self._codes = {
            name: np.asarray(np.load(path / f"label-{number}.npy", mmap_mode="r"))
            for number, name in enumerate(manifest.labels)
        }
        self._table: pa.Table | None = None
        self._report: dict[str, Any] | None = None

    def __len__(self) -> int:
        return self.manifest.count

    @property
    def pictures(self) -> int:
        """How many there are to train on."""
        return len(self.train)

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"{kind}({str(self.path)!r}, {len(self)} pictures of {self.shape}, {len(self.classes)} classes)"

    @property
    def report(self) -> dict[str, Any]:
        """What was found when the set was packed, as `Report.to_dict`."""
        if self._report is None:
            self._report = msgspec.json.decode((self.path / "report.json").read_bytes())
        return self._report

    @property
    def table(self) -> pa.Table:
        """Every column of metadata, one row a picture, memory-mapped."""
        if self._table is None:
            self._table = pa.ipc.open_file(pa.memory_map(str(self.path / "table.arrow"))).read_all()
        return self._table

    def read(self, indices: Any) -> np.ndarray:
        """Pixels (n, H, W, C), uint8 or uint16, of the pictures numbered `indices` (n,)."""
        indices = np.asarray(indices)
        rows = indices if self._rows is None else self._rows[indices]
        return self._pixels[rows]

    def clips(self, indices: Any) -> np.ndarray:
        """Pixels (n, T, H, W, C) of the clips that begin with the pictures numbered `indices` (n,), T `frames`."""
        indices = np.asarray(indices)
        return self.read(indices[:, None] + np.arange(self.frames))

    def labels(self, indices: Any, column: str | None = None) -> np.ndarray | None:
        """Codes (n,), int64, of the classes or of another label column; -1 where a picture has none. Of a number they
        are in fixed point (`limner.labels`).

        None where the set has no classes. Raises UserError for a column that is none of `attributes`.
        """
        column = column or self.manifest.class_column
        if column is None:
            return None
        if column not in self._codes:
            from limner.errors import unknown

            raise unknown("label column", column, self._codes)
        return self._codes[column][np.asarray(indices)].astype(np.int64)

    def caption(self, index: int) -> str | None:
        """The caption of one picture, None where it has none."""
        name = self.manifest.caption_column
        return None if name is None else self.table[name][int(index)].as_py()

    def file(self, index: int) -> str:
        """The name that one picture had in its source."""
        return str(self.table["file"][int(index)].as_py())

    def verify(self) -> None:
        """Reads all pixels and compares them with the pack's id. Raises UserError where they differ."""
        if content_id(self._pixels, self._rows, self.path, self.manifest) != self.id:
            raise UserError(
                f"the pack {str(self.path)!r} is damaged (its pixels or labels have changed): delete it and pack again"
            )


def content_id(pixels: np.ndarray, rows: np.ndarray | None, folder: Path, manifest: Manifest) -> str:
    """A hash of pixels, labels, captions' table and division: equal for equal packs, wherever they come from."""
    digest = hashlib.sha256(f"{manifest.shape}{manifest.depth}{manifest.labels}{manifest.class_column}".encode())
    if manifest.ranges:
        digest.update(f"numbers {sorted(manifest.ranges.items())}".encode())
    if manifest.frames:
        digest.update(f"clips of {manifest.frames}".encode())
    step = max(1, (1 << 24) // max(1, pixels[0].nbytes))

    def block(i: int) -> bytes:
        stop = min(i + step, manifest.count)
        return hashlib.sha256((pixels[i:stop] if rows is None else pixels[rows[i:stop]]).data).digest()

    with ThreadPoolExecutor(2) as threads:  # hashing lets go of the interpreter
        for found in threads.map(block, range(0, manifest.count, step)):
            digest.update(found)
    for name in sorted(manifest.files):
        if name.endswith(".npy") and name != "rows.npy":
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:32]
