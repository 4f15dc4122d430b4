"""What a person may say about their pictures."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from limner.errors import UserError, unknown

CROPS = ("center", "fit", "stretch", "random")
MAX_SIDE = 4096
_WINDOW = re.compile(r"-?\d+(\.\d+)?,(?=.*[1-9])\d+(\.\d+)?")


class DataOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a set is read and packed.

    size      height and width in pixels: one number for a square, or (height, width). None keeps the native size
              when all pictures share one of at most 64 px.
    crop      center: scale the shorter side, cut the middle. fit: whole picture inside, white border, never enlarged.
              stretch: ignore the aspect. random: like center, at a place drawn from the picture's own content.
    alpha     composite: on white. keep: a fourth channel where any picture is transparent.
    channels  auto: 1 if every picture is grey, else 3 (4 with alpha=keep and any transparency); or 1, 3, 4.
    depth     8, or 16 to keep 16-bit grey.
    labels    column(s) to take as labels, comma separated; the first one of classes gives the classes. Numbers that
              many values differ by are one scale; column:number and column:class say which of the two it is.
    captions  column to take as the caption.
    classes   keep only pictures of these classes.
    split     keep only this named part (train, test, ...); a held-out part is then cut from it.
    limit     at most so many pictures: the number drawn for built-in sets, a seeded choice elsewhere.
    seed      for built-in sets, for `limit` and for `longtail`.
    without   combinations of label values that training is to see nothing of, such as "hair=red,glasses=yes", several
              with semicolons; what is held out keeps them, so that what was never seen can be asked for and judged.
    longtail  keep so many training pictures of each class that the first has this many times as many as the last,
              falling exponentially between them; which ones is decided by their names and `seed`.
    frames    take films (video, animated pictures, folders of frames) apart into clips of so many frames; None takes
              single frames of videos, and first frames of animated pictures.
    stride    a clip, or a single frame, begins every so many frames; None is every `frames`, so that none overlap.
    slices    of medical volumes: axial, coronal or sagittal. None is axial.
    window    of medical scans: "center,width" in their units, or full for all that their bits can say. None is the
              window that a file names, else from its least value to its greatest.
    stream    read shards while they are trained on instead of packing them; patterns and addresses always are.
    head      how many of a stream's first pictures, from several shards, give its size, labels and held-out part.
    buffer    how many pictures of a stream are shuffled at a time; two such buffers are kept in memory.
    """

    size: int | tuple[int, int] | None = None
    crop: Literal["center", "fit", "stretch", "random"] = "center"
    alpha: Literal["composite", "keep"] = "composite"
    channels: Literal["auto", "1", "3", "4", 1, 3, 4] = "auto"
    depth: Literal[8, 16] = 8
    labels: str | None = None
    captions: str | None = None
    classes: tuple[str, ...] | None = None
    split: str | None = None
    limit: int | None = None
    seed: int = 0
    without: str | None = None
    longtail: float | None = None
    frames: int | None = None
    stride: int | None = None
    slices: Literal["axial", "coronal", "sagittal"] | None = None
    window: str | None = None
    stream: bool = False
    head: int = 10_000
    buffer: int = 4096

    def __post_init__(self) -> None:
        if self.size is not None:
            sides = (self.size,) if isinstance(self.size, int) else tuple(self.size)
            if len(sides) not in (1, 2) or not all(isinstance(s, int) and 1 <= s <= MAX_SIDE for s in sides):
                raise UserError(f"impossible size {self.size!r}: give 1 to {MAX_SIDE} pixels, or (height, width)")
        if self.crop not in CROPS:
            raise unknown("crop mode", str(self.crop), CROPS)
        if self.alpha not in ("composite", "keep"):
            raise unknown("alpha mode", str(self.alpha), ("composite", "keep"))
        if str(self.channels) not in ("auto", "1", "3", "4"):
            raise UserError(f"impossible number of channels {self.channels!r}: give auto, 1, 3 or 4")
        if self.depth not in (8, 16):
            raise UserError(f"impossible depth {self.depth!r}: give 8 or 16 bits")
        if self.depth == 16 and self.number_of_channels in (3, 4):
            raise UserError(f"depth 16 is for grey pictures, but channels is {self.channels}: leave channels at 1")
        if self.alpha == "keep" and self.number_of_channels in (1, 3):
            raise UserError(f"alpha 'keep' needs a fourth channel, but channels is {self.channels}: leave it at auto")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"impossible limit {self.limit}: give at least 1 picture")
        for name, value in (("frames", self.frames), ("stride", self.stride)):
            if value is not None and value < 1:
                raise UserError(f"impossible {name} {value}: give at least 1 frame")
        if self.slices not in (None, "axial", "coronal", "sagittal"):
            raise unknown("direction of slices", str(self.slices), ("axial", "coronal", "sagittal"))
        if self.window not in (None, "full") and not _WINDOW.fullmatch(self.window or ""):
            raise UserError(f"impossible window {self.window!r}: give its center and width, such as 40,400, or full")
        if self.longtail is not None and not 1 <= self.longtail <= 1e6:
            raise UserError(f"impossible longtail {self.longtail:g}: give a factor of at least 1, such as 100")
        for name, value in (("head", self.head), ("buffer", self.buffer)):
            if value < 1:
                raise UserError(f"impossible {name} {value}: give at least 1 picture")

    @property
    def height_width(self) -> tuple[int, int] | None:
        """(height, width) in pixels, or None when not given."""
        if self.size is None:
            return None
        if isinstance(self.size, int):
            return self.size, self.size
        height, width = self.size if len(self.size) == 2 else (self.size[0], self.size[0])
        return height, width

    @property
    def number_of_channels(self) -> int | None:
        """1, 3 or 4; None when it is to be found out."""
        return None if self.channels == "auto" else int(self.channels)

    @property
    def keeps_alpha(self) -> bool:
        """Whether transparency becomes a channel."""
        return self.alpha == "keep" or self.number_of_channels == 4

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns named by `labels`, in order."""
        return tuple(self.label_kinds)

    @property
    def label_kinds(self) -> dict[str, Literal["number", "class"] | None]:
        """What each column named by `labels` was said to be, None where that is to be found out."""
        found: dict[str, Literal["number", "class"] | None] = {}
        for part in (self.labels or "").split(","):
            name, colon, kind = part.strip().rpartition(":")
            if colon and kind in ("number", "class"):
                found[name.strip()] = "number" if kind == "number" else "class"
            elif part.strip():
                found[part.strip()] = None
        return found

    @property
    def combinations(self) -> tuple[dict[str, str], ...]:
        """What `without` names: of each combination the values by column. Raises UserError for what is none."""
        found = []
        for text in (self.without or "").split(";"):
            if text.strip():
                pairs = [part.partition("=") for part in text.split(",")]
                if not all(name.strip() and value.strip() for name, _, value in pairs):
                    raise UserError(f"impossible combination {text.strip()!r}: write it as hair=red,glasses=yes")
                found.append({name.strip(): value.strip() for name, _, value in pairs})
        return tuple(found)
