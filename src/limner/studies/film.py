"""A training as a film: the sheets that were drawn while it went, one after the other."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from limner import storage
from limner.errors import MissingExtra, UserError
from limner.runs import RunFolder
from limner.studies import video

CAPTION, SIDE = 24, 720
"""Height of a caption, and how large a film may be, in pixels."""

INK, GROUND = "#1b1f24", "#ffffff"


def film(folder: RunFolder, out: Path, milliseconds: int = 250) -> int:
    """Write a .gif or .mp4 of a run's sheets, each under the number of its step. Returns how many there are.

    Sheets of other sizes, from stages that paint smaller pictures, are brought to the last one's.

    Raises:
        UserError: fewer than two sheets, another kind of file, no PyAV for an mp4.
    """
    if out.suffix not in (".gif", ".mp4"):
        raise UserError(f"{out} is neither a .gif nor an .mp4: name the film like training.gif")
    sheets = sorted(folder.samples.glob("step-*.png"))
    if len(sheets) < 2:
        raise UserError(
            f"{folder.path} has {len(sheets)} sheet(s): a film needs more; train with --set train.grid_every=50"
        )
    with Image.open(sheets[-1]) as last:
        share = min(1.0, SIDE / max(last.size))
        size = max(1, round(last.width * share)), max(1, round(last.height * share))
    frames = [_frame(path, size) for path in sheets]
    if out.suffix == ".gif":
        storage.write_file(out, video.gif(frames, milliseconds, video.MANY))
    elif not video.mp4(out, frames, milliseconds):
        raise MissingExtra("PyAV", "film", "an .mp4")
    return len(frames)


def _frame(path: Path, size: tuple[int, int]) -> Image.Image:
    with Image.open(path) as sheet:
        shown = sheet.convert("RGBA")  # transparent pictures lie on white
    ground = Image.new("RGBA", shown.size, GROUND)
    ground.alpha_composite(shown)
    way = Image.Resampling.NEAREST if shown.width <= size[0] else Image.Resampling.LANCZOS
    frame = Image.new("RGB", (size[0], size[1] + CAPTION), GROUND)
    frame.paste(ground.convert("RGB").resize(size, way), (0, CAPTION))
    step = int(path.stem.removeprefix("step-"))
    ImageDraw.Draw(frame).text((6, CAPTION / 2), f"step {step:,}", INK, ImageFont.load_default(14), anchor="lm")
    return frame
