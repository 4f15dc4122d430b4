"""Samples to measure: an array, blocks from a generator, a folder or archive of pictures, or a NumPy file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from limner.errors import UserError
from limner.evaluation.reference import read_blocks, shuffled

if TYPE_CHECKING:
    from limner.data import Pack

Samples: TypeAlias = np.ndarray | Iterable[np.ndarray] | str | Path
_BLOCK = 1000


@dataclass(frozen=True)
class Opened:
    """Blocks of uint8 pictures (b, H, W, C); `numbers` of the samples in them where they are a random choice."""

    blocks: Iterator[np.ndarray]
    numbers: np.ndarray | None


def open_samples(source: Samples, size: tuple[int, int], n: int, seed: int) -> Opened:
    """At most `n` samples of `size` (height, width).

    Of more, a random choice by `seed` is taken (folders are often sorted by class); of an iterator, the first.
    Raises UserError for other sizes: resizing changes every number, so it is left to the caller.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, size, n, seed)
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.exists():
            raise UserError(
                f"no samples at {str(path)!r}: give a folder of pictures, an archive of one, or an .npz file"
            )
        if path.suffix.lower() in (".npz", ".npy"):
            return _from_array(_load(path), size, n, seed)
        return _from_folder(path, size, n, seed)
    return Opened(_first(source, size, n), None)


def _from_array(x: np.ndarray, size: tuple[int, int], n: int, seed: int) -> Opened:
    x = x[..., None] if x.ndim == 3 else x
    _check(x, size)
    numbers = np.sort(shuffled(np.arange(len(x)), seed, "samples")[:n])
    return Opened((x[numbers[i : i + _BLOCK]] for i in range(0, len(numbers), _BLOCK)), numbers)


def _from_folder(path: Path, size: tuple[int, int], n: int, seed: int) -> Opened:
    found = _packed(path, size)
    # All of them, also repetitions that a set to train on would leave out: some generators repeat themselves.
    numbers = np.sort(shuffled(np.arange(len(found)), seed, "samples")[:n])
    return Opened(read_blocks(found, numbers), numbers)


def _packed(path: Path, size: tuple[int, int]) -> Pack:
    from limner.data import DataOptions, pack

    found = pack(path, DataOptions(size=size))
    for native in found.report["sizes"]:  # such as "32x24", width first
        across, down = map(int, native.split("x"))
        _check_size((down, across), size)
    return found


@dataclass(frozen=True)
class Labelled:
    """Samples with labels (N,), numbers of a set's classes, -1 for others; `read` gives blocks of some of them."""

    labels: np.ndarray
    read: Callable[[np.ndarray], Iterator[np.ndarray]]


def open_labelled(path: str | Path, size: tuple[int, int], names: Sequence[str]) -> Labelled:
    """Samples of `size` (height, width) with their labels, in a random order.

    An .npz has numbers of the classes in `y`, a folder or archive its classes' names. Raises UserError for others.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        x, y = _load(path), _read(path).get("y")
        x = x[..., None] if x.ndim == 3 else x
        _check(x, size)
        if y is None or y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
            raise UserError(f"{str(path)!r} has no array 'y' with the number of each picture's class")
        order = shuffled(np.arange(len(x)), 0, "labelled")
        pictures = x

        def blocks(numbers: np.ndarray) -> Iterator[np.ndarray]:
            rows = order[numbers]
            return (pictures[rows[i : i + _BLOCK]] for i in range(0, len(rows), _BLOCK))

        return Labelled(np.where((y >= 0) & (y < len(names)), y, -1)[order], blocks)
    if not path.is_dir() and path.suffix.lower() == ".npy":
        raise UserError(f"{str(path)!r} has no labels: give an .npz with 'x' and 'y', or a folder a class")
    found = _packed(path, size)
    codes = found.labels(np.arange(len(found)))
    if codes is None or not set(found.classes) & set(names):
        raise UserError(f"{str(path)!r} has no labels that the set knows: {', '.join(names[:5])}, ...")
    places = np.array([names.index(name) if name in names else -1 for name in (*found.classes, None)])
    order = shuffled(np.arange(len(found)), 0, "labelled")
    return Labelled(places[codes][order], lambda numbers: read_blocks(found, order[numbers]))


def _read(path: Path) -> Any:
    if path.suffix.lower() == ".npz" and not zipfile.is_zipfile(path):
        raise UserError(f"{str(path)!r} cannot be read: it is not a whole .npz file")
    try:
        return np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{str(path)!r} cannot be read as a NumPy file: {error}") from error


def _load(path: Path) -> np.ndarray:
    found = _read(path)
    if isinstance(found, np.ndarray):
        return found
    for key in ("x", "samples", "images", "arr_0"):
        if key in found:
            array: np.ndarray = found[key]
            return array
    raise UserError(f"{str(path)!r} has no array 'x' of pictures, only {', '.join(map(repr, found)) or 'nothing'}")


def _first(blocks: Iterable[np.ndarray], size: tuple[int, int], n: int) -> Iterator[np.ndarray]:
    left = n
    for block in blocks:
        block = block[..., None] if block.ndim == 3 else block
        _check(block, size)
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return


def _check(x: np.ndarray, size: tuple[int, int]) -> None:
    if x.ndim != 4 or x.dtype not in (np.uint8, np.uint16) or x.shape[3] not in (1, 3, 4):
        raise UserError(
            f"samples must be uint8 pictures (N, H, W[, C]) with 1, 3 or 4 channels, got {x.dtype} {x.shape}"
        )
    _check_size((x.shape[1], x.shape[2]), size)


def _check_size(found: tuple[int, int], size: tuple[int, int]) -> None:
    if found != size:
        raise UserError(
            f"the samples are {found[0]}x{found[1]} but the real pictures {size[0]}x{size[1]} (height x width): "
            "make both the same size first (--size of the data), because resizing changes every number"
        )
