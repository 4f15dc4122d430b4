"""From the bytes of a file to a picture in one of three plain forms, whatever Pillow can open."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 178_956_970
"""Larger pictures are set aside unread: the limit at which Pillow itself refuses, about 13,400 x 13,400."""

# PostScript would start another program, the others need one that is not there.
_REFUSED = {"EPS", "WMF", "EMF", "PDF", "MPEG", "BUFR", "GRIB", "HDF5", "FITS"}
_MAY_TURN = {"JPEG", "MPO", "TIFF", "PNG", "WEBP", "AVIF"}
_MAY_MOVE = {"GIF", "PNG", "WEBP", "TIFF", "AVIF"}
_ORIENTATION = 0x0112
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


class Refused(Exception):
    """A file that is set aside; the message is the reason."""


class Picture(NamedTuple):
    """A decoded picture.

    image: mode L, RGB or RGBA; F with values 0..65535 where the file had more than 8 bits.
    mode: the file's own mode. size: (height, width), upright.
    """

    image: Image.Image
    mode: str
    size: tuple[int, int]
    animated: bool = False
    turned: bool = False


_COMMON = ["PNG", "JPEG", "GIF", "BMP", "PPM"]
_others: list[str] = []


def _all_formats() -> list[str]:
    """Every format but those refused. Finding them imports fifty modules, so it waits for the first uncommon file."""
    if not _others:
        Image.init()
        _others.extend(sorted(set(Image.ID) - _REFUSED))
    return _others


def open_header(data: bytes) -> Image.Image:
    """Opens without decoding. Raises Refused for what is empty, gigantic or not a picture."""
    if not data:
        raise Refused("empty file")
    Image.MAX_IMAGE_PIXELS = None  # checked here, for a clearer reason and without a warning
    try:
        try:
            image = Image.open(io.BytesIO(data), formats=_COMMON)
        except UnidentifiedImageError:
            image = Image.open(io.BytesIO(data), formats=_all_formats())
    except UnidentifiedImageError:
        raise Refused("not a picture") from None
    except Exception as error:  # a plugin may raise anything on bytes that lie about their format
        raise Refused(f"broken ({_words(error)})") from error
    if image.width * image.height > MAX_PIXELS:
        raise Refused(f"gigantic: {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
    if not image.width or not image.height:
        raise Refused("no pixels")
    return image


def decode(data: bytes) -> Picture:
    """Decodes, turns upright by EXIF, takes the first frame. Raises Refused with the reason."""
    image = open_header(data)
    try:
        mode, moves = image.mode, image.format in _MAY_MOVE and bool(getattr(image, "is_animated", False))
        image.load()
        turned = False
        if image.format in _MAY_TURN and _has_exif(image) and image.getexif().get(_ORIENTATION, 1) in range(2, 9):
            turned = True
            image = ImageOps.exif_transpose(image)
        plain_image = plain(image)
    except Exception as error:  # as above; MemoryError included
        raise Refused(f"broken or truncated ({_words(error)})") from error
    return Picture(plain_image, mode, (plain_image.height, plain_image.width), moves, turned)


def _has_exif(image: Image.Image) -> bool:
    info = image.info
    return image.format == "TIFF" or "exif" in info or "xmp" in info or "XML:com.adobe.xmp" in info


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:120] if text else type(error).__name__


def plain(image: Image.Image) -> Image.Image:
    """Any mode to L, RGB, RGBA (only where something is transparent), or F with 16-bit values."""
    mode = image.mode
    if mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if mode in _DEEP:
        return Image.fromarray(deep_values(np.asarray(image), mode))
    if mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in image.info:
        grey = mode in ("LA", "La", "L", "1")
        if mode != "RGBA":
            image = image.convert("RGBA")
        if image.getchannel("A").getextrema() == (255, 255):
            return image.convert("L" if grey else "RGB")
        return image
    return image.convert("L" if mode in ("1", "L") else "RGB")


def deep_values(values: np.ndarray, mode: str) -> np.ndarray:
    """Grey values of more than 8 bits as float32 in 0..65535.

    I;16 is taken as it is. 32-bit integers: 0..255 is 8-bit, up to 65535 is 16-bit. 32-bit floats: up to 1 is the unit
    range, up to 255 is 8-bit, up to 65535 is 16-bit. What fits nowhere is stretched from its own minimum to maximum.
    """
    values = values.astype(np.float64)
    if mode.startswith("I;16"):
        return values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("values that are not finite")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535:
        return ((values - low) * (65535 / max(high - low, 1e-30))).astype(np.float32)
    if mode == "F" and high <= 1:
        return (values * 65535).astype(np.float32)
    return (values * (257 if high <= 255 else 1)).astype(np.float32)


def from_array(pixels: np.ndarray) -> Picture:
    """Pixels (H, W) or (H, W, C), uint8 or uint16, as a picture."""
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    size = (pixels.shape[0], pixels.shape[1])
    if pixels.dtype == np.uint16 and pixels.ndim == 2:
        return Picture(Image.fromarray(pixels.astype(np.float32)), "I;16", size)
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return Picture(plain(image), image.mode, size)
