"""DICOM: frames with their rescaling and window applied, as PS3.3 C.7.6.3 and C.11 say. Needs pydicom."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from limner.data.sources.medical import Unusable, asked, windowed
from limner.errors import MissingExtra

_IDENTITY = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")


def _pydicom() -> Any:
    try:
        import pydicom
        import pydicom.pixels
    except ImportError as error:
        raise MissingExtra("pydicom", "medical", "reading DICOM files") from error
    return pydicom


def _header(path: str) -> Any:
    pydicom = _pydicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values, and values may be names
            return pydicom.dcmread(path, stop_before_pixels=True, force=False)
    except Exception as error:  # a damaged file may raise anything; its words are not repeated
        raise Unusable(f"no DICOM file, or broken ({type(error).__name__})") from None


def look(path: str) -> tuple[int, str]:
    """Number of frames, and a hash that is equal for scans of one patient (or study, or file)."""
    header = _header(path)
    if not header.get("Rows") or not header.get("Columns"):
        raise Unusable("no pictures in it")
    identity = next((str(header.get(name)) for name in _IDENTITY if header.get(name)), path)
    return int(header.get("NumberOfFrames") or 1), hashlib.sha256(identity.encode()).hexdigest()


def read(path: str, frames: list[int], window: str | None) -> Iterator[np.ndarray]:
    """Frames as uint16 (H, W), or as colours (H, W, 3) uint8.

    `window` is "center,width"; "full" for all that the bits can say; or None for what the file names.
    """
    pydicom, header = _pydicom(), _header(path)
    limits: tuple[float, float] | None = None

    def outer() -> tuple[float, float]:
        nonlocal limits
        limits = asked(window) or limits or _limits(pydicom, header, path, window)
        return limits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, pixels in zip(frames, _frames(pydicom, header, path, frames), strict=True):
            try:
                yield _shown(pydicom, pixels, header, number, window, outer)
            except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
                raise Unusable(f"its header does not say how it is shown ({type(error).__name__})") from None


def _shown(
    pydicom: Any, pixels: np.ndarray, header: Any, number: int, window: str | None, limits: Callable[[], Any]
) -> np.ndarray:
    kind = header.get("PhotometricInterpretation", "MONOCHROME2")
    if kind == "PALETTE COLOR":
        pixels = pydicom.pixels.apply_color_lut(pixels, header)
    if pixels.ndim == 3:
        return _colours(pixels, header)
    values = _rescaled(pydicom, pixels, header, number)
    own = _window_of(header, number) if window is None else None
    if own is not None:
        grey = windowed(_through(values, *own), 0.0, 1.0)
    elif window is None and "VOILUTSequence" in header:
        grey = _by_table(pydicom, values, header)
    else:
        grey = windowed(values, *limits())
    return 65535 - grey if kind == "MONOCHROME1" else grey


def _frames(pydicom: Any, header: Any, path: str, frames: list[int] | None) -> Iterator[np.ndarray]:
    try:
        yield from pydicom.pixels.iter_pixels(path, indices=frames)
    except Exception as error:  # as in _header
        syntax = getattr(getattr(header.file_meta, "TransferSyntaxUID", None), "name", "unknown")
        if isinstance(error, NotImplementedError | RuntimeError | AttributeError):
            raise Unusable(f"no decoder for it is installed, or it is broken ({syntax})") from None
        raise Unusable(f"broken or truncated ({type(error).__name__}, {syntax})") from None


def _colours(pixels: np.ndarray, header: Any) -> np.ndarray:
    """Colours of any number of bits as uint8."""
    top = 65535 if pixels.dtype == np.uint16 and "RedPaletteColorLookupTableDescriptor" in header else None
    top = top or (1 << int(header.get("BitsStored") or 8)) - 1
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels.astype(np.float64) * (255 / top)).astype(np.uint8)


def _group(header: Any, number: int, name: str) -> Any:
    """An item of the functional groups of an enhanced file: the frame's own, else the one that all frames share."""
    frames = header.get("PerFrameFunctionalGroupsSequence") or ()
    for groups in (*frames[number : number + 1], *(header.get("SharedFunctionalGroupsSequence") or ())):
        if groups.get(name):
            return groups[name][0]
    return header


def _rescaled(pydicom: Any, pixels: np.ndarray, header: Any, number: int) -> np.ndarray:
    """Stored values in the units of the scan (Hounsfield's, for one)."""
    if "ModalityLUTSequence" in header:
        table: np.ndarray = pydicom.pixels.apply_modality_lut(pixels, header)
        return table
    item = _group(header, number, "PixelValueTransformationSequence")
    slope, intercept = item.get("RescaleSlope"), item.get("RescaleIntercept")
    return pixels.astype(np.float64) * float(1 if slope is None else slope) + float(intercept or 0)


def _window_of(header: Any, number: int) -> tuple[float, float, str] | None:
    """The first window: center, width, function."""
    item = _group(header, number, "FrameVOILUTSequence")
    center, width = item.get("WindowCenter"), item.get("WindowWidth")
    if center is None or width is None:
        return None
    center, width = (float(v if isinstance(v, float | int | str) else v[0]) for v in (center, width))
    return (center, width, str(item.get("VOILUTFunction") or "LINEAR")) if width > 0 else None


def _through(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """C.11.2.1.2 and C.11.2.1.3: values as 0 to 1."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return (values - center) / width + 0.5
    return (values - (center - 0.5)) / max(width - 1, 1e-6) + 0.5


def _by_table(pydicom: Any, values: np.ndarray, header: Any) -> np.ndarray:
    found = pydicom.pixels.apply_voi_lut(values.astype(np.int64), header, prefer_lut=True)
    return windowed(found, 0, (1 << int(header.VOILUTSequence[0].LUTDescriptor[2])) - 1)


def _limits(pydicom: Any, header: Any, path: str, window: str | None) -> tuple[float, float]:
    """The range that the bits allow where it is asked for or has 8 bits, else from the least value to the greatest."""
    bits = int(header.get("BitsStored") or 8)
    if bits <= 8 or window == "full":
        half = (1 << bits - 1) if header.get("PixelRepresentation") else 0
        ends = _rescaled(pydicom, np.array([-half, (1 << bits) - 1 - half]), header, 0)
        return float(min(ends)), float(max(ends))
    low, high = np.inf, -np.inf
    for number, pixels in enumerate(_frames(pydicom, header, path, None)):
        values = _rescaled(pydicom, pixels, header, number)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high
