"""NIfTI: slices of volumes along an axis of the body, as one looks at them. Needs nibabel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from limner.data.sources.medical import Unusable, asked, windowed
from limner.errors import MissingExtra

AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""Axes of a volume whose values run to the right, to the front and up."""
_SUBJECT = re.compile(r"(?:^|/)(sub-[A-Za-z0-9]+)")


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise MissingExtra("nibabel", "medical", "reading NIfTI volumes") from error
    return nibabel


def _opened(path: str) -> Any:
    """A volume with its axes to the right, to the front and up; nothing of it is read yet."""
    nibabel = _nibabel()
    try:
        return nibabel.as_closest_canonical(nibabel.load(path))
    except Exception as error:  # a damaged file may raise anything; its words are not repeated
        raise Unusable(f"no NIfTI volume, or broken ({type(error).__name__})") from None


def look(path: str, axis: str) -> tuple[int, str]:
    """Number of slices along an axis over all volumes of a file; whose it is: the subject in its path, or itself."""
    image = _opened(path)
    if len(image.shape) < 3 or len(image.shape) > 4 or 0 in image.shape:
        raise Unusable("neither a volume nor a series of volumes")
    subject = _SUBJECT.search(path)
    series = image.shape[3] if len(image.shape) == 4 else 1
    return image.shape[AXES[axis]] * series, subject[1] if subject else path


def read(path: str, slices: list[int], axis: str, window: str | None) -> Iterator[np.ndarray]:
    """Slices as uint16 (H, W), or as colours (H, W, 3) uint8. `window` as in `dicom.read`; a series is read in turn."""
    image = _opened(path)
    along = AXES[axis]
    depth = image.shape[along]
    limits: tuple[float, float] | None = None
    kept, volume = -1, np.empty(0)
    for number in slices:
        if number // depth != kept:
            kept, volume = number // depth, _volume(image, path, number // depth)
        plane = np.rot90(np.take(volume, number % depth, axis=along))  # front or head up
        if plane.dtype.names:
            yield np.ascontiguousarray(np.stack([plane[name] for name in ("R", "G", "B")], -1))
            continue
        limits = limits or asked(window) or _limits(image, path, window)
        yield windowed(plane, *limits)


def _volume(image: Any, path: str, number: int) -> np.ndarray:
    """One volume of a file in the units of the scan; several are read one at a time."""
    try:
        part: np.ndarray = np.asarray(image.dataobj[..., number] if len(image.shape) == 4 else image.dataobj)
        return part
    except Exception as error:  # as in _opened
        raise Unusable(f"broken or truncated ({type(error).__name__}, {Path(path).suffix})") from None


def _limits(image: Any, path: str, window: str | None) -> tuple[float, float]:
    """The range that the header asks for, or that its type allows, else from the least value to the greatest."""
    header = image.header
    if window == "full":
        kind = header.get_data_dtype()
        if kind.kind in "iu":
            slope, inter = header.get_slope_inter() if hasattr(header, "get_slope_inter") else (None, None)
            ends = np.array([np.iinfo(kind).min, np.iinfo(kind).max], np.float64) * (slope or 1) + (inter or 0)
            return float(min(ends)), float(max(ends))
    elif float(header["cal_max"]) > float(header["cal_min"]):
        return float(header["cal_min"]), float(header["cal_max"])
    low, high = np.inf, -np.inf
    for number in range(image.shape[3] if len(image.shape) == 4 else 1):
        values = _volume(image, path, number)
        finite = values[np.isfinite(values)]
        if len(finite):
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 1.0)
