"""Films: an animated GIF for every page, and an mp4 where PyAV is there."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limner import storage

FEW, MANY = 96, 255
"""Colours of drawings, and of pictures."""

_LAST = 2500  # milliseconds that the last picture stands


def gif(frames: Sequence[Image.Image], milliseconds: int = 90, colours: int = FEW) -> bytes:
    """An endless GIF; its colours are chosen once for all pictures, so that nothing flickers."""
    few = [*frames[:: max(1, len(frames) // 6)], frames[-1]]
    sample = np.concatenate([np.asarray(frame) for frame in few])
    palette = _with_white(Image.fromarray(sample).quantize(colours, dither=Image.Dither.NONE), colours)
    shown = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    times = [milliseconds] * (len(frames) - 1) + [_LAST]
    file = io.BytesIO()
    shown[0].save(file, "GIF", save_all=True, append_images=shown[1:], duration=times, loop=0, optimize=False)
    return file.getvalue()


def _with_white(palette: Image.Image, count: int) -> Image.Image:
    """The nearest colour to white as white itself: grounds are not to be tinted."""
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[colours[:count].sum(1).argmax()] = 255
    palette.putpalette(colours.flatten().tolist())
    return palette


def mp4(path: Path, frames: Sequence[Image.Image], milliseconds: int = 90) -> bool:
    """The same as a film, the last picture as long; whether it was written: without PyAV there is none."""
    if find_spec("av") is None:
        return False
    import av

    rate = Fraction(1000, milliseconds)
    name = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    still = [frames[-1]] * round(_LAST / milliseconds)
    with storage.whole_file(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream: Any = container.add_stream(name, rate=rate)
        # Four colour samples a pixel block: sides have to be even.
        stream.width, stream.height = (frames[0].width // 2 * 2, frames[0].height // 2 * 2)
        stream.pix_fmt = "yuv420p"
        for frame in [*frames, *still]:
            whole = np.asarray(frame)[: stream.height, : stream.width]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(whole), format="rgb24")))
        container.mux(stream.encode())
    return True
