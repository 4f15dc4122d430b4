"""One part of a set: decoded, brought to the plan's form, described. Runs in any process."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from limner.data.decode import Picture, Refused, decode, from_array
from limner.data.plan import Plan
from limner.data.resize import scale_of, to_shape
from limner.data.sources.base import Payload, Unreadable
from limner.storage import write_file

OK, ASIDE = 0, 1
ANIMATED, TURNED, ENLARGED, SHRUNK, CROPPED, PADDED = 1, 2, 4, 8, 16, 32
THUMB = 8
WORK_PIXELS = "pixels.work"

RECORD = np.dtype(
    [
        ("status", "u1"),
        ("mode", "u1"),
        ("flags", "u1"),
        ("height", "u4"),
        ("width", "u4"),
        ("digest", "u8", 2),
        ("thumb", "u1", THUMB * THUMB),
    ]
)
"""What is kept of each candidate: 91 bytes."""

MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV",
         "I", "F", "I;16", "I;16B", "I;16L", "I;16N", "BGR;15", "BGR;16", "BGR;24")  # fmt: skip


class PartNote(msgspec.Struct):
    """What a part says of itself once it is done; writing it is what makes it done.

    colour / clear  whether any packed picture has a colour / any transparency.
    breach          why the plan does not hold for a picture of this part: '' or 'size', 'colour', 'alpha', 'deep'.
    """

    pixels: int
    colour: bool
    clear: bool
    breach: str
    breach_row: int
    aside: dict[int, str]


class Breach(Exception):
    """A picture that the plan has no room for."""


def process(
    payloads: Iterator[Payload], count: int, plan: Plan, at: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray, PartNote]:
    """Decodes `count` payloads. Returns pixels (count, H, W, C), records (count,) and the part's note.

    `at` is told each number before it is decoded, so that a decoder that crashes can be blamed on its picture.
    """
    pixels = np.zeros((count, *plan.shape), plan.dtype)
    # Lists, because writing single fields of a structured array costs as much as decoding a small picture.
    described: list[tuple[int, int, int, int, int]] = []
    digests: list[bytes] = []
    aside: dict[int, str] = {}
    breach, breach_row = "", -1
    for number, payload in enumerate(payloads):
        at(number)
        try:
            picture = place(pixels[number], payload, plan)
            words = (OK, _mode_number(picture.mode), _flags(picture, plan), *picture.size)
            described.append(words)
            digests.append(_digest(pixels[number], picture))
        except Refused as error:
            described.append((ASIDE, 0, 0, 0, 0))
            digests.append(bytes(16))
            aside[number] = str(error)
        except Breach as error:
            breach, breach_row = str(error), number
            break
    at(-1)
    records = np.zeros(count, RECORD)
    for name, values in zip(("status", "mode", "flags", "height", "width"), zip(*described, strict=True), strict=False):
        records[name][: len(described)] = values
    records["digest"][: len(digests)] = np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)
    records["thumb"] = thumbs(pixels)
    note = PartNote(
        pixels=zlib.crc32(pixels.data),
        colour=_any_colour(pixels),
        clear=plan.channels == 4 and _any_clear(pixels, records),
        breach=breach,
        breach_row=breach_row,
        aside=aside,
    )
    return pixels, records, note


def place(target: np.ndarray, payload: Payload, plan: Plan) -> Picture:
    """Decodes a payload into `target` (H, W, C), brought to the plan's form. Returns the picture as it was.

    Raises Refused for what is no whole picture, Breach for one that the plan has no room for.
    """
    picture = _picture(payload)
    if plan.native and picture.size != (plan.height, plan.width):
        raise Breach("size")
    _place(target, picture, plan)
    return picture


def _picture(payload: Payload) -> Picture:
    if isinstance(payload, Unreadable):
        raise Refused(payload.reason)
    return from_array(payload) if isinstance(payload, np.ndarray) else decode(payload)


def decodes(payload: Payload) -> bool:
    """Whether a payload is a whole picture."""
    try:
        _picture(payload)
    except Refused:
        return False
    return True


def _mode_number(mode: str) -> int:
    return MODES.index(mode) if mode in MODES else 255


def _digest(pixels: np.ndarray, picture: Picture) -> bytes:
    """Of the packed pixels and the size before: 16 bytes that are equal for the same picture in any kind of file."""
    digest = hashlib.sha256(pixels.data)
    digest.update(b"%d %d" % picture.size)
    return digest.digest()[:16]


def _flags(picture: Picture, plan: Plan) -> int:
    flags = ANIMATED * picture.animated + TURNED * picture.turned
    if picture.size != (plan.height, plan.width):
        scale = scale_of(picture.size, (plan.height, plan.width), plan.crop)
        flags += ENLARGED * (scale > 1) + SHRUNK * (scale < 1)
        if picture.size[0] * plan.width != picture.size[1] * plan.height:
            flags += {"fit": PADDED, "stretch": 0}.get(plan.crop, CROPPED)
        elif plan.crop == "fit" and scale == 1:
            flags += PADDED
    return flags


def _place(target: np.ndarray, picture: Picture, plan: Plan) -> None:
    image = picture.image
    # A random crop depends on what is in the picture, not on where it lies, so that copies stay copies.
    key = zlib.crc32(image.tobytes()) ^ plan.seed if plan.crop == "random" else 0
    if image.mode == "F" and plan.depth == 8:
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    elif plan.depth == 16:
        _place_deep(target, image, plan, key)
        return
    if image.mode == "RGBA":
        if plan.alpha == "keep":
            if plan.channels != 4:
                raise Breach("alpha")
        else:
            image = on_white(image, grey=picture.mode in ("LA", "La", "L", "1"))
    if image.mode == "RGB" and plan.channels == 1 and not plan.fixed:
        raise Breach("colour")
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[plan.channels]
    if image.mode != mode:
        image = image.convert(mode)
    image = to_shape(image, (plan.height, plan.width), plan.crop, key)
    target[...] = np.frombuffer(image.tobytes(), np.uint8).reshape(target.shape)


def _place_deep(target: np.ndarray, image: Image.Image, plan: Plan, key: int) -> None:
    if image.mode != "F":
        if image.mode == "RGBA":
            image = on_white(image, grey=False)
        if image.mode == "RGB" and not plan.fixed and image.convert("L").convert("RGB").tobytes() != image.tobytes():
            raise Breach("deep")
        image = Image.fromarray(np.asarray(image.convert("L"), dtype=np.float32) * 257)
    image = to_shape(image, (plan.height, plan.width), plan.crop, key)
    target[..., 0] = np.clip(np.rint(np.asarray(image)), 0, 65535).astype(np.uint16)


def on_white(image: Image.Image, grey: bool) -> Image.Image:
    """RGBA laid on white: RGB, or L where the file was grey."""
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white.convert("L") if grey else white


def thumbs(pixels: np.ndarray) -> np.ndarray:
    """Grey area averages (n, 64), uint8, of pictures (n, H, W, C): what near duplicates are found by.

    Of pictures of 64 px and more every second pixel is enough, of 128 px and more every fourth, and so on.
    """
    pixels = pixels[:, :: max(1, pixels.shape[1] // 32), :: max(1, pixels.shape[2] // 32)]
    n, height, width, channels = pixels.shape
    down = area_weights(height, THUMB)
    # Colours are averaged and columns pooled in one product: (W * C, 8).
    across = np.repeat(area_weights(width, THUMB).T, channels, axis=0) / channels
    scale = 1.0 if pixels.dtype == np.uint8 else 1 / 257
    out = np.empty((n, THUMB * THUMB), np.uint8)
    for i in range(0, n, 64):  # blocks that stay in the processor's cache
        block = pixels[i : i + 64].astype(np.float32).reshape(-1, width * channels)
        pooled = down @ (block @ across).reshape(-1, height, THUMB)
        out[i : i + 64] = np.rint(pooled * scale).reshape(-1, THUMB * THUMB)
    return out


def area_weights(length: int, parts: int) -> np.ndarray:
    """(parts, length) float32: row i averages the i-th of `parts` equal stretches, with fractions at their ends."""
    edges = np.linspace(0, length, parts + 1)
    cells = np.arange(length)
    covered = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return (np.clip(covered, 0, None) * (parts / length)).astype(np.float32)


def _any_colour(pixels: np.ndarray) -> bool:
    if pixels.shape[-1] == 1:
        return False
    return any(
        bool((block[..., :2] != block[..., 1:3]).any())
        for block in (pixels[i : i + 8] for i in range(0, len(pixels), 8))
    )


def _any_clear(pixels: np.ndarray, records: np.ndarray) -> bool:
    return bool((pixels[records["status"] == OK][..., 3] != 255).any())


def part_files(staging: Path, number: int) -> tuple[Path, Path]:
    """Where the records and the note of a part lie."""
    return staging / "parts" / f"{number:07d}.npy", staging / "parts" / f"{number:07d}.json"


def write_part(staging: Path, number: int, start: int, pixels: np.ndarray, records: np.ndarray, note: PartNote) -> None:
    """Pixels to their place in the one file, records to theirs; the note last."""
    with (staging / WORK_PIXELS).open("r+b") as file:
        file.seek(start * pixels[0].nbytes)
        file.write(pixels.data)
    records_file, note_file = part_files(staging, number)
    with records_file.open("wb") as file:
        np.save(file, records)
    write_file(note_file, msgspec.json.encode(note))


def part_is_done(staging: Path, number: int, start: int, count: int, plan: Plan) -> bool:
    """Whether a part was finished before, down to its pixels."""
    records_file, note_file = part_files(staging, number)
    if not note_file.exists() or not records_file.exists():
        return False
    note = msgspec.json.decode(note_file.read_bytes(), type=PartNote)
    with (staging / WORK_PIXELS).open("rb") as file:
        file.seek(start * plan.row_bytes)
        return not note.breach and zlib.crc32(file.read(count * plan.row_bytes)) == note.pixels
