"""Small pictures of points, lines and surfaces, drawn at twice their size and brought down, in the colours of a report.

Blue is the data, orange is what was made, on white: a film is one picture for every page it is shown on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

DATA, MADE, INK, SOFT, RULE, GROUND = "#2563eb", "#d9480f", "#1b1f24", "#57606a", "#d8dee4", "#ffffff"
PALE_DATA, PALE_MADE = "#a9c3f7", "#f2b494"
MORE = ("#0f8a5f", "#a3399e", "#a86a00", "#0e7490", "#be123c", "#4d7c0f", "#2563eb", "#d9480f")
_TIMES = 2
_LEVELS = 15
_HEAD = 22
"""Height of a panel's title."""

Box = tuple[float, float, float, float]
"""What is shown: left, right, bottom, top."""


class Panel:
    """A square picture of a part of the plane under a title.

    Args:
        side: width and height of the picture in pixels. box: the part of the plane.
    """

    def __init__(self, side: int, title: str, box: Box) -> None:
        self.side, self.title, self.box = side, title, box
        self.image = Image.new("RGB", (side * _TIMES, side * _TIMES), GROUND)
        self.draw = ImageDraw.Draw(self.image)

    def places(self, at: np.ndarray) -> np.ndarray:
        """Pixels (n, 2) of points (n, 2)."""
        left, right, bottom, top = self.box
        size = self.side * _TIMES
        x, y = (at[:, 0] - left) / (right - left), (top - at[:, 1]) / (top - bottom)
        # What is far outside would overflow the drawing.
        return np.clip(np.nan_to_num(np.stack([x, y], 1)), -4, 5) * size

    def surface(self, values: np.ndarray) -> None:
        """Values (n, n) in [0, 1] over the whole box, x first: orange at 0, white at 1/2, blue at 1, in even steps."""
        level = np.round(np.clip(values, 0, 1) * (_LEVELS - 1)).astype(int)
        picture = _shades()[level].transpose(1, 0, 2)[::-1]
        smooth = Image.fromarray(np.ascontiguousarray(picture)).resize(self.image.size, Image.Resampling.BICUBIC)
        self.image.paste(smooth)

    def points(self, at: np.ndarray, colour: str, radius: float = 1.2) -> None:
        """Dots at points (n, 2)."""
        r = radius * _TIMES
        for x, y in self.places(at):
            self.draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def line(self, at: np.ndarray, colour: str, width: float = 1.0) -> None:
        """A line through points (n, 2)."""
        self.draw.line([tuple(p) for p in self.places(at)], fill=colour, width=round(width * _TIMES), joint="curve")

    def area(self, at: np.ndarray, colour: str) -> None:
        """What lies between a line (n, 2) and the x axis."""
        foot = np.stack([at[[-1, 0], 0], [0, 0]], 1)
        self.draw.polygon([tuple(p) for p in self.places(np.concatenate([at, foot]))], fill=colour)

    def arrows(self, at: np.ndarray, by: np.ndarray, colour: str) -> None:
        """From points (n, 2) by vectors (n, 2), both of the plane."""
        begin, end = self.places(at), self.places(at + by)
        for a, b in zip(begin, end, strict=True):
            along = b - a
            if (length := float(np.hypot(*along))) < _TIMES:
                continue
            along = along / length * min(length / 2, 3.5 * _TIMES)
            across = np.array([-along[1], along[0]]) * 0.6
            self.draw.line([tuple(a), tuple(b)], fill=colour, width=_TIMES)
            self.draw.polygon([tuple(b), tuple(b - along + across), tuple(b - along - across)], fill=colour)

    def text(self, x: float, y: float, words: str, colour: str = SOFT, anchor: str = "lt") -> None:
        """Words at a place of the panel, in shares of its side from the left and from the top."""
        size = self.side * _TIMES
        self.draw.text((x * size, y * size), words, fill=colour, font=_font(11 * _TIMES), anchor=anchor)

    def finished(self) -> Image.Image:
        """The panel with its title and a thin frame."""
        whole = Image.new("RGB", (self.side, self.side + _HEAD), GROUND)
        whole.paste(self.image.resize((self.side, self.side), Image.Resampling.BOX), (0, _HEAD))
        drawing = ImageDraw.Draw(whole)
        drawing.text((2, _HEAD / 2), self.title, fill=INK, font=_font(13), anchor="lm")
        drawing.rectangle((0, _HEAD, self.side - 1, self.side + _HEAD - 1), outline=RULE)
        return whole


def curves(panel: Panel, lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]], until: float) -> None:
    """Named and coloured lines up to x = `until`, with their names; the panel's box says what is shown."""
    for row, (name, colour, points) in enumerate(lines):
        shown = np.array([p for p in points if p[0] <= until] or [points[0]], float)
        panel.line(shown, colour, 1.6)
        panel.points(shown[-1:], colour, 3)
        panel.text(0.97, 0.04 + 0.065 * row, f"{name} {shown[-1, 1]:.3f}", colour, "rt")


def rules(panel: Panel, heights: Iterable[tuple[float, str]]) -> None:
    """Thin lines across, each with its words."""
    left, right, bottom, top = panel.box
    for height, words in heights:
        panel.line(np.array([[left, height], [right, height]]), RULE)
        panel.text(0.02, (top - height) / (top - bottom) - 0.05, words)


def sheet(rows: Sequence[Sequence[Panel]], headline: str, gap: int = 10) -> Image.Image:
    """Panels in rows under one line."""
    done = [[panel.finished() for panel in row] for row in rows]
    width = gap + max(sum(one.width + gap for one in row) for row in done)
    top = 30
    whole = Image.new("RGB", (width, top + sum(max(one.height for one in row) + gap for row in done)), GROUND)
    ImageDraw.Draw(whole).text((gap, top / 2), headline, fill=INK, font=_font(15), anchor="lm")
    for row in done:
        left = gap
        for one in row:
            whole.paste(one, (left, top))
            left += one.width + gap
        top += max(one.height for one in row) + gap
    return whole


@cache
def _shades() -> np.ndarray:
    """(levels, 3) uint8, pale enough for points to be seen on them."""
    ends = [np.array(Image.new("RGB", (1, 1), colour))[0, 0].astype(float) for colour in (PALE_MADE, GROUND, PALE_DATA)]
    share = np.linspace(0, 2, _LEVELS)[:, None]
    low, high = ends[0] + (ends[1] - ends[0]) * share, ends[1] + (ends[2] - ends[1]) * (share - 1)
    return np.where(share < 1, low, high).round().astype(np.uint8)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
