"""Generated pictures in hand: look at them, save them, take their numbers."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner import storage
from limner.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_GAP = 2
_TILE = 48
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_MARK = ".limner.json"


def grid(pixels: np.ndarray, columns: int | None = None, zoom: int | None = None) -> np.ndarray:
    """One sheet of many pictures, white between them.

    Args:
        pixels: (N, H, W, C) uint8.
        columns: pictures in a row; by default as many as make the sheet square.
        zoom: each pixel becomes a block of zoom x zoom; by default the least that makes a picture 48 pixels large, so
            that tiny ones can be seen. Pixels are repeated, never blended.

    Returns:
        (H', W', C) uint8.
    """
    import numpy as np

    n, height, width, channels = pixels.shape
    if not n:
        raise UserError("a grid of 0 pictures: ask for at least one")
    columns = min(columns or int(np.ceil(np.sqrt(n))), n)
    zoom = zoom or -(-_TILE // max(height, width))
    rows = -(-n // columns)
    cell_h, cell_w = height * zoom + _GAP, width * zoom + _GAP
    sheet = np.full((rows * cell_h + _GAP, columns * cell_w + _GAP, channels), 255, np.uint8)
    for i, picture in enumerate(pixels):
        top, left = _GAP + i // columns * cell_h, _GAP + i % columns * cell_w
        large = picture.repeat(zoom, axis=0).repeat(zoom, axis=1)
        sheet[top : top + height * zoom, left : left + width * zoom] = large
    return sheet


def image(pixels: np.ndarray) -> Image.Image:
    """A Pillow image of (H, W, C) uint8 with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels."""
    from PIL import Image

    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, _MODES[pixels.shape[2]])


def writable(path: str | Path) -> Path:
    """A path to write a file at, its folders made. Raises `UserError` where that is a folder."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file in it")
    with storage.said_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_png(path: Path, pixels: np.ndarray, record: Mapping[str, Any] | None = None) -> None:
    """(H, W, C) uint8 as a PNG that says how it was made; the file is there whole or not at all."""
    from limner.provenance import png_text

    record = {**(record or {}), "width": pixels.shape[1], "height": pixels.shape[0]}
    with storage.whole_file(path, flush=False) as part:
        image(pixels).save(part, "png", pnginfo=png_text(record))


@dataclass(frozen=True)
class Pictures:
    """Pictures with what they were made from. Indexing with a slice gives Pictures, with a number a Pillow image.

    Attributes:
        pixels: (N, H, W, C) uint8.
        indices: (N,) each picture's number under its seed.
        labels: (N, A) int64, one column an attribute, -1 for "anything"; None where none were asked for.
        names: for each attribute, what its labels are called.
        about: what all of them share: seed, recipe, run, weights, options.
        columns: how many a row of the grid should have; None makes it square.
    """

    pixels: np.ndarray
    indices: Sequence[int]
    labels: np.ndarray | None = None
    names: Sequence[Sequence[str]] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    columns: int | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, which: int | slice) -> Any:
        if isinstance(which, int):
            return image(self.pixels[which])
        labels = None if self.labels is None else self.labels[which]
        return dataclasses.replace(self, pixels=self.pixels[which], indices=list(self.indices)[which], labels=labels)

    def __iter__(self) -> Iterator[Image.Image]:
        return (image(picture) for picture in self.pixels)

    def __repr__(self) -> str:
        n, height, width, channels = self.pixels.shape
        made = f" of {self.about['run']}" if "run" in self.about else ""
        return f"<{n} pictures{made}, {height}x{width}x{channels}>"

    def label(self, i: int) -> str | None:
        """What picture i was asked to be, in words."""
        if self.labels is None:
            return None
        values = [names[k] for names, k in zip(self.names, self.labels[i], strict=True) if k >= 0]
        return ", ".join(values) or None

    def record(self, i: int) -> dict[str, Any]:
        """Everything that picture i is a function of."""
        return {**self.about, "index": int(self.indices[i]), "label": self.label(i)}

    def numpy(self) -> np.ndarray:
        """(N, H, W, C) uint8."""
        return self.pixels

    def grid(self, columns: int | None = None, zoom: int | None = None) -> Image.Image:
        """All of them on one sheet, see `limner.pictures.grid`."""
        return image(grid(self.pixels, columns or self.columns, zoom))

    def save_grid(self, path: str | Path) -> Path:
        """The sheet as a PNG."""
        path = writable(path)
        sheet = grid(self.pixels, self.columns)
        write_png(path, sheet, {**self.about, "indices": [int(i) for i in self.indices]})
        return path

    def save(self, folder: str | Path) -> Path:
        """One PNG each, named by index, with a `metadata.jsonl` of their labels. See `PictureFolder`."""
        target = PictureFolder(Path(folder), self.about)
        target.write(self)
        target.finish()
        return target.path

    def save_npz(self, path: str | Path) -> Path:
        """An `.npz` with `x` (N, H, W[, C]) uint8 and, where labels were asked for, `y` (N,) int64."""
        with NpzWriter(Path(path), len(self)) as file:
            file.write(self)
        return file.path

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.grid().save(buffer, "png")
        return buffer.getvalue()


class PictureFolder:
    """A folder of PNGs that can be filled in several goes; each file is whole or absent.

    Raises:
        UserError: the folder has files in it that these pictures do not go with.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        mark = json.dumps(about, sort_keys=True)
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file: name a folder for the pictures")
        found = path / _MARK
        if not found.is_file() and path.is_dir() and any(path.iterdir()):
            raise UserError(f"{path} is not empty and was not made by this command: name an empty or a new folder")
        if found.is_file() and found.read_text() != mark:
            raise UserError(f"{path} has pictures of another model, seed or options: name an empty or a new folder")
        if not found.is_file():
            with storage.said_plainly(path):
                path.mkdir(parents=True, exist_ok=True)
            storage.write_file(found, mark)

    def name(self, index: int) -> Path:
        """Where picture `index` lies or will lie."""
        return self.path / f"{index:06d}.png"

    def missing(self, indices: Sequence[int]) -> list[int]:
        """Those that are not there yet."""
        return [i for i in indices if not self.name(i).is_file()]

    def write(self, pictures: Pictures) -> None:
        """Add pictures; one that is there already is written again."""
        for i, index in enumerate(pictures.indices):
            write_png(self.name(index), pictures.pixels[i], pictures.record(i))

    def finish(self) -> None:
        """Write `metadata.jsonl` (file_name, label) for all files where pictures were asked for by label."""
        from limner.provenance import read_png

        files = sorted(self.path.glob("[0-9]*.png"))
        labels = {file.name: read_png(file).get("label") for file in files}
        if any(label is not None for label in labels.values()):
            lines = [json.dumps({"file_name": name, "label": label}) for name, label in labels.items()]
            storage.write_file(self.path / "metadata.jsonl", "\n".join(lines) + "\n")


class NpzWriter:
    """An `.npz` written block by block, so that any number of pictures fits; it takes its name when all are in.

    Array `x` is (N, H, W, C) uint8, without C for grey pictures, and `y` (N,) int64 the first attribute's label.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
        self.count = count
        self._labels: list[np.ndarray] = []
        self._array: Any = None

    def __enter__(self) -> NpzWriter:
        self._stack = contextlib.ExitStack()
        part = self._stack.enter_context(storage.whole_file(writable(self.path)))
        self._zip = self._stack.enter_context(zipfile.ZipFile(part, "w"))
        return self

    def write(self, pictures: Pictures) -> None:
        """Append the next pictures."""
        import numpy as np

        pixels = np.ascontiguousarray(pictures.pixels[..., 0] if pictures.pixels.shape[3] == 1 else pictures.pixels)
        if self._array is None:
            self._array = self._zip.open("x.npy", "w", force_zip64=True)
            header = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *pixels.shape[1:])}
            np.lib.format.write_array_header_1_0(self._array, header)
        self._array.write(pixels.tobytes())
        if pictures.labels is not None:
            self._labels.append(pictures.labels[:, 0])

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        import numpy as np

        try:
            if self._array is not None:
                self._array.close()
            if self._labels and kind is None:
                with self._zip.open("y.npy", "w") as out:
                    np.lib.format.write_array(out, np.concatenate(self._labels).astype(np.int64), allow_pickle=False)
        finally:
            self._stack.__exit__(kind, error, trace)
