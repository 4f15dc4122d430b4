"""What every picture of a pack becomes: decided from the headers of a few, held against all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from limner.data.decode import Refused, open_header
from limner.data.options import DataOptions
from limner.data.sources.base import Payload, Unreadable
from limner.errors import UserError

NATIVE_LIMIT = 64
PREVIEW = 32
_GREY = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The form of a pack's pictures.

    native    every picture must have exactly this size; nothing is resized.
    fixed     the number of channels was asked for, so pictures are converted to it.
    preview   only looked at: small stand-ins are written, to find duplicates by, and thrown away.
    """

    height: int
    width: int
    channels: int
    depth: int = 8
    crop: str = "center"
    alpha: str = "composite"
    native: bool = False
    fixed: bool = False
    preview: bool = False
    seed: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.height, self.width, self.channels

    @property
    def dtype(self) -> np.dtype:
        """uint8, or uint16 where 16 bits are kept."""
        return np.dtype(np.uint8 if self.depth == 8 else np.uint16)

    @property
    def row_bytes(self) -> int:
        """Bytes of one picture."""
        return self.height * self.width * self.channels * self.dtype.itemsize


class Peek(msgspec.Struct, frozen=True):
    """What a header says: (height, width), grey or not, whether alpha may be there."""

    size: tuple[int, int]
    grey: bool
    alpha: bool


def peek(payload: Payload) -> Peek | None:
    """Looks at a picture without decoding it; None for what cannot be opened."""
    if isinstance(payload, Unreadable):
        return None
    if isinstance(payload, np.ndarray):
        channels = payload.shape[2] if payload.ndim == 3 else 1
        return Peek((payload.shape[0], payload.shape[1]), channels == 1, channels == 4)
    try:
        image = open_header(payload)
    except Refused:
        return None
    size = (image.height, image.width)
    if "exif" in image.info and image.getexif().get(0x0112, 1) >= 5:
        size = size[::-1]
    return Peek(size, image.mode in _GREY, image.mode in _ALPHA or "transparency" in image.info)


def decide(peeks: Sequence[Peek], options: DataOptions) -> Plan:
    """The plan that the pictures looked at call for; a preview where a size is needed and none was given."""
    sizes = Counter(p.size for p in peeks)
    wanted = options.height_width
    native = wanted is None and len(sizes) == 1 and max(next(iter(sizes))) <= NATIVE_LIMIT
    preview = wanted is None and not native
    height, width = wanted or (next(iter(sizes)) if native else (PREVIEW, PREVIEW))
    channels = options.number_of_channels
    if channels is None:
        channels = 1 if all(p.grey for p in peeks) else 3
        if options.keeps_alpha and any(p.alpha for p in peeks):
            channels = 4
        if options.depth == 16:
            channels = 1
    return Plan(
        height=height,
        width=width,
        channels=channels,
        depth=options.depth,
        crop="stretch" if preview else options.crop,
        alpha="keep" if options.keeps_alpha else "composite",
        native=native,
        fixed=options.number_of_channels is not None,
        preview=preview,
        seed=options.seed,
    )


def need_size(sizes: dict[str, int]) -> UserError:
    """The error for pictures that cannot be packed at their own size."""
    if len(sizes) == 1:
        what = f"all pictures are {next(iter(sizes))}, larger than {NATIVE_LIMIT} px"
    else:
        common = ", ".join(f"{count} of {size}" for size, count in list(sizes.items())[:3])
        what = f"the pictures have {len(sizes)} or more different sizes ({common})"
    return UserError(f"{what}: say how large they shall be, for example --size 64")
