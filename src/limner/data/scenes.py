"""Scenes of coloured shapes whose truth is known exactly, drawn at any size: the built-in set `shapes`."""

from __future__ import annotations

import math
import random
from functools import lru_cache

import msgspec
import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle", "diamond", "star", "heart", "cross", "ring")
COLOURS = {
    "red": (218, 41, 41),
    "green": (43, 160, 66),
    "blue": (45, 88, 216),
    "yellow": (246, 212, 45),
    "purple": (141, 62, 173),
    "orange": (244, 139, 32),
    "pink": (246, 131, 182),
    "brown": (128, 80, 48),
    "black": (24, 24, 26),
    "white": (250, 250, 248),
}
BACKGROUNDS = {
    "white": (248, 248, 246),
    "black": (18, 18, 20),
    "grey": (140, 141, 144),
    "beige": (233, 219, 190),
    "sky blue": (168, 212, 242),
    "navy": (26, 36, 78),
    "mint": (188, 230, 203),
}
SIZES = {"small": (0.115, 0.14), "medium": (0.17, 0.20), "large": (0.25, 0.29)}
"""Radius of the circle round a shape, in shorter sides of the picture."""

_ROWS, _COLUMNS = ("top", "", "bottom"), ("left", "", "right")
_CONTRAST = 120.0
_JITTER = 8
_OVERLAPPING = 0.3  # share of scenes of several shapes in which the first lies over the second
_LEAST_VISIBLE = 0.55
_GAP = 0.015


class Shape(msgspec.Struct, frozen=True):
    """One shape: its words, and its numbers in shorter sides of the picture (angle in degrees, visible as a share)."""

    shape: str
    colour: str
    size: str
    place: str
    rgb: tuple[int, int, int]
    x: float
    y: float
    radius: float
    angle: float
    visible: float = 1.0


class Scene(msgspec.Struct, frozen=True):
    """Shapes from front to back on a plain background; `relation` is that of the first to the second, '' for one."""

    background: str
    background_rgb: tuple[int, int, int]
    shapes: tuple[Shape, ...]
    relation: str
    overlap: bool

    @property
    def caption(self) -> str:
        """The scene in words; every word in it is true."""
        words = [f"a {s.size} {s.colour} {s.shape}" for s in self.shapes]
        if len(words) == 1:
            place = self.shapes[0].place
            return f"{words[0]} {'in the' if place == 'centre' else 'at the'} {place} on {self.background}"
        if len(words) == 2:
            return f"{words[0]} {self.relation} {words[1]} on {self.background}"
        return f"{', '.join(words[:-1])} and {words[-1]} on {self.background}"


def scene(seed: int, index: int, aspect: float = 1.0) -> Scene:
    """Scene number `index` of a seed: the same at every resolution. aspect: width over height."""
    draw = random.Random(f"shapes {seed} {index}")
    wide, high = max(1.0, aspect), max(1.0, 1 / aspect)
    while True:
        found = _attempt(draw, wide, high)
        if found is not None:
            return found


def _attempt(draw: random.Random, wide: float, high: float) -> Scene | None:
    background = draw.choice(list(BACKGROUNDS))
    background_rgb = _jittered(draw, BACKGROUNDS[background])
    colours = [c for c, rgb in COLOURS.items() if math.dist(rgb, BACKGROUNDS[background]) > _CONTRAST]
    count = draw.choices((1, 2, 3), (3, 5, 3))[0]
    overlap = count > 1 and draw.random() < _OVERLAPPING
    shapes: list[Shape] = []
    for number in range(count):
        taken = {(s.colour, s.shape) for s in shapes}
        colour, kind = draw.choice(colours), draw.choice(SHAPES)
        if (colour, kind) in taken or (overlap and number == 1 and not _distinct(colour, shapes[0].colour)):
            return None
        size = draw.choice(list(SIZES))
        radius = draw.uniform(*SIZES[size])
        place = _position(draw, shapes, radius, wide, high, over=overlap and number == 1)
        if place is None:
            return None
        x, y = place
        angle = 0.0 if kind in ("circle", "ring") else draw.uniform(-12, 12)
        words = _place(x / wide, y / high)
        shapes.append(Shape(kind, colour, size, words, _jittered(draw, COLOURS[colour]), x, y, radius, angle))
    if overlap:
        seen = _visible(shapes[0], shapes[1])
        if not _LEAST_VISIBLE <= seen <= 0.95:
            return None
        shapes[1] = msgspec.structs.replace(shapes[1], visible=round(seen, 3))
    relation = "" if count == 1 else "in front of" if overlap else _relation(shapes[0], shapes[1])
    return Scene(background, background_rgb, tuple(shapes), relation, overlap)


def _distinct(a: str, b: str) -> bool:
    return math.dist(COLOURS[a], COLOURS[b]) > 80


def _jittered(draw: random.Random, rgb: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, value + draw.randint(-_JITTER, _JITTER))) for value in rgb)
    return red, green, blue


def _position(
    draw: random.Random, others: list[Shape], radius: float, wide: float, high: float, over: bool
) -> tuple[float, float] | None:
    margin = radius + 0.02
    for _ in range(30):
        if over:
            angle, reach = draw.uniform(0, 2 * math.pi), draw.uniform(0.5, 0.95) * (radius + others[0].radius)
            x, y = others[0].x + reach * math.cos(angle), others[0].y + reach * math.sin(angle)
            if not (margin <= x <= wide - margin and margin <= y <= high - margin):
                continue
            return x, y
        x, y = draw.uniform(margin, wide - margin), draw.uniform(margin, high - margin)
        if all(math.hypot(x - o.x, y - o.y) > radius + o.radius + _GAP for o in others):
            return x, y
    return None


def _place(x: float, y: float) -> str:
    words = f"{_ROWS[min(2, int(y * 3))]} {_COLUMNS[min(2, int(x * 3))]}".strip()
    return words or "centre"


def _relation(a: Shape, b: Shape) -> str:
    dx, dy = a.x - b.x, a.y - b.y
    if abs(dx) >= abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def _visible(front: Shape, back: Shape) -> float:
    """The share of `back` that `front` leaves to be seen, on a raster of 256 a side."""
    size = (int(256 * (max(front.x, back.x) + 0.5)), int(256 * (max(front.y, back.y) + 0.5)))
    over, under = (np.asarray(_mask(s, 256, size)) > 0 for s in (front, back))
    return float((under & ~over).sum() / max(1, under.sum()))


def paint(what: Scene, height: int, width: int) -> np.ndarray:
    """The scene as uint8 (height, width, 3), antialiased by drawing it at least four times as large."""
    side = min(height, width)
    factor = max(4, -(-256 // side))
    canvas = Image.new("RGB", (width * factor, height * factor), what.background_rgb)
    for shape in reversed(what.shapes):
        canvas.paste(shape.rgb, mask=_mask(shape, side * factor, canvas.size))
    return np.asarray(canvas.reduce(factor))


def _mask(shape: Shape, unit: float, size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size, 0)
    pen = ImageDraw.Draw(mask)
    turn = math.radians(shape.angle)
    cos, sin = math.cos(turn) * shape.radius * unit, math.sin(turn) * shape.radius * unit
    x, y = shape.x * unit, shape.y * unit
    for fill, outline in zip((255, 0), outlines(shape.shape), strict=False):
        pen.polygon([(x + cos * u - sin * v, y + sin * u + cos * v) for u, v in outline], fill=fill)
    return mask


@lru_cache
def outlines(kind: str) -> tuple[tuple[tuple[float, float], ...], ...]:
    """A shape's outline, then that of its hole if it has one, as points in the unit circle (y down)."""

    def corners(count: int, start: float, radius: float = 1.0) -> tuple[tuple[float, float], ...]:
        angles = [math.radians(start + 360 * i / count) for i in range(count)]
        return tuple((radius * math.cos(a), radius * math.sin(a)) for a in angles)

    if kind in ("circle", "ring"):
        return (corners(72, 0, 0.9), corners(72, 0, 0.5)) if kind == "ring" else (corners(72, 0, 0.9),)
    if kind == "square":
        return (corners(4, 45),)
    if kind == "diamond":
        return (tuple((0.68 * u, v) for u, v in corners(4, 0)),)
    if kind == "triangle":
        return (corners(3, -90),)
    if kind == "star":
        outer, inner = corners(5, -90), corners(5, -54, 0.42)
        return (tuple(point for pair in zip(outer, inner, strict=True) for point in pair),)
    if kind == "cross":
        a, b = 0.32, 0.92
        return (
            (
                (-a, -b),
                (a, -b),
                (a, -a),
                (b, -a),
                (b, a),
                (a, a),
                (a, b),
                (-a, b),
                (-a, a),
                (-b, a),
                (-b, -a),
                (-a, -a),
            ),
        )
    # The heart curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t (Weisstein, "Heart curve").
    points = [2 * math.pi * i / 72 for i in range(72)]
    return (
        tuple(
            (
                16 * math.sin(t) ** 3 / 17.5,
                -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t) + 2.5) / 17.5,
            )
            for t in points
        ),
    )
