"""Small charts as SVG: one size that is legible on a phone, colours from the page's style sheet."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 340, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 40
_LETTER = 6.8
"""Mean width of a letter of the labels, in units of the chart."""
COLOURS = 8
"""How many colours the style sheet has; what comes after them is grey."""


@dataclass(frozen=True)
class Scale:
    """From values to places along an axis of `length` that begins at `start`; `length` is negative for upwards."""

    low: float
    high: float
    start: float
    length: float
    log: bool

    @classmethod
    def of(cls, values: Sequence[float], start: float, length: float, log: bool | None = None) -> Scale:
        """A scale that holds all values with some room; logarithmic where they span more than a factor of 12."""
        low, high = min(values), max(values)
        log = (low > 0 and high / low > 12) if log is None else log and low > 0
        if log:
            room = (high / low) ** 0.08 if high > low else 1.5
            return cls(low / room, high * room, start, length, True)
        room = 0.08 * (high - low) or 0.5 * abs(high) or 1.0
        bottom = 0.0 if 0 <= low < 0.6 * high else low - room
        return cls(bottom, high + room, start, length, False)

    def __call__(self, value: float) -> float:
        """The place of a value; below the axis where the scale is logarithmic, its end."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, self.low))
        return self.start + self.length * (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values, three to seven of them."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in ((1, 2, 5), (1, 3), (1,)):
                found = [s * 10.0**p for p in powers for s in steps if self.low <= s * 10.0**p <= self.high]
                if len(found) <= 6:
                    break
            return found[:: -(-len(found) // 6)] if found else [self.low, self.high]
        power = 10.0 ** math.floor(math.log10(self.high - self.low))
        for step in (5 * power, 2 * power, power, power / 2, power / 5):
            places = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
            if len(places) >= 3:
                break
        return [place * step for place in places]


@dataclass(frozen=True)
class Series:
    """Points (x, y) of one name, with (low, high) of each y; `colour` is one of the style sheet's, None is grey."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int | None = None
    reach: Sequence[tuple[float, float]] = field(default=())


def lines(
    series: Sequence[Series], x_title: str, y_title: str, floor: float | None = None, named: str = "floor"
) -> str:
    """A line for each series, and a dashed one at `floor`, `named` so."""
    points = [point for one in series for point in one.points]
    x = Scale(0.0, max(p[0] for p in points) or 1.0, _LEFT, WIDTH - _LEFT - _RIGHT, False)
    y = _upwards([p[1] for p in points] + ([] if floor is None else [floor]))
    body = []
    for one in series:
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in one.points)
        body.append(
            f'<polyline class="line {colour(one.colour)}" points="{path}"><title>{_e(one.name)}</title></polyline>'
        )
        if len(one.points) <= 12:
            body += [_dot(x(a), y(b), one.colour, 2.5, f"{one.name}: {short(b)} at {short(a)}") for a, b in one.points]
    return _chart(x, y, x_title, y_title, [*_floor(y, floor, named), *body])


def scatter(series: Sequence[Series], x_title: str, y_title: str, floor: float | None = None) -> str:
    """A labelled dot for each series' only point, with its interval."""
    x = Scale.of([one.points[0][0] for one in series], _LEFT + 6, WIDTH - _LEFT - _RIGHT - 12)
    y = _upwards([one.points[0][1] for one in series] + ([] if floor is None else [floor]))
    places = [(x(one.points[0][0]), y(one.points[0][1])) for one in series]
    labels = _Labels(places)
    bars, dots, names = [], [], []
    for (at, height), one in sorted(zip(places, series, strict=True), key=lambda pair: pair[0][1]):
        for low, high in one.reach:
            top, bottom = (min(max(y(v), _TOP), HEIGHT - _BOTTOM) for v in (max(high, y.low), max(low, y.low)))
            bars.append(_line(f"reach {colour(one.colour)}", at, top, at, bottom))
        a, b = one.points[0]
        dots.append(_dot(at, height, one.colour, 4, f"{one.name}: {short(b)} at {short(a)}"))
        names.append(labels.place(one.name, at, height))
    body = [*bars, *dots, *names]
    return _chart(x, y, x_title, y_title, [*_floor(y, floor), *body])


def trails(series: Sequence[Series], names: Sequence[Sequence[str]], x_title: str, y_title: str) -> str:
    """A line for each series through its points in their order, each point with its name."""
    points = [point for one in series for point in one.points]
    x = Scale.of([a for a, _ in points], _LEFT + 6, WIDTH - _LEFT - _RIGHT - 12, False)
    y = _upwards([b for _, b in points])
    labels = _Labels([(x(a), y(b)) for a, b in points])
    body = []
    for one, called in zip(series, names, strict=True):
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in one.points)
        body.append(f'<polyline class="line {colour(one.colour)}" points="{path}"/>')
        for (a, b), name in zip(one.points, called, strict=True):
            body.append(_dot(x(a), y(b), one.colour, 3, f"{one.name} {name}: {short(b)} at {short(a)}"))
            body.append(labels.place(name, x(a), y(b)))
    return _chart(x, y, x_title, y_title, body)


def interval(scale: Scale, low: float, high: float, values: Sequence[float], floor: float, number: int | None) -> str:
    """A row of the table's chart: the interval, each seed, the floor."""
    width, middle = scale.length + 2 * scale.start, 11
    ends = [min(max(scale(v), 2), width - 2) for v in (max(low, scale.low), max(high, scale.low))]
    at_floor = min(max(scale(max(floor, scale.low)), 2), width - 2)
    body = [
        _line("floor", at_floor, 2, at_floor, 20),
        _line(f"reach {colour(number)}", ends[0], middle, ends[1], middle),
        *(_dot(scale(max(v, scale.low)), middle, number, 4, short(v)) for v in values),
    ]
    size = f'viewBox="0 0 {width:g} 22" width="{width:g}" height="22"'
    return f'<svg class="interval" {size} role="img" aria-label="interval and seeds">{"".join(body)}</svg>'


def short(value: float) -> str:
    """Three digits: "0.0123", "1.23", "12.3", "1,230", "2.3 M"."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.3g} M"
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 0.001 or not size:
        return f"{value:.3g}"
    return f"{value:.1e}"


def _upwards(values: Sequence[float]) -> Scale:
    return Scale.of(values, HEIGHT - _BOTTOM, -(HEIGHT - _BOTTOM - _TOP))


def _chart(x: Scale, y: Scale, x_title: str, y_title: str, body: Sequence[str]) -> str:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = []
    for tick in y.ticks():
        at = y(tick)
        parts.append(f'<line class="rule" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 5}" y="{at + 3.5:.1f}" text-anchor="end">{short(tick)}</text>')
    for tick in x.ticks():
        parts.append(
            f'<text class="tick" x="{x(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{short(tick)}</text>'
        )
    across = _e(x_title) + (", log" if x.log else "")
    upwards = "↑ " + _e(y_title) + (", log" if y.log else "")
    titles = (
        f'<text class="title" x="{right}" y="{HEIGHT - 7}" text-anchor="end">{across}</text>'
        f'<text class="title" x="4" y="{HEIGHT - 7}">{upwards}</text>'
    )
    said = _e(f"{y_title} against {x_title}")
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">'
        f'{"".join(parts)}<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
        f"{''.join(body)}{titles}</svg>"
    )


def _floor(y: Scale, floor: float | None, named: str = "floor") -> list[str]:
    if floor is None:
        return []
    at = y(max(floor, y.low))
    return [
        f'<line class="floor" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text class="tick" x="{WIDTH - _RIGHT}" y="{at - 3:.1f}" text-anchor="end">{_e(named)}</text>'
    ]


def _dot(x: float, y: float, number: int | None, radius: float, said: str) -> str:
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"'
    return f'<circle class="dot {colour(number)}" {place}><title>{_e(said)}</title></circle>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


class _Labels:
    """Finds room for names beside dots: not over a dot, nor over one another, nor outside the chart."""

    def __init__(self, dots: Sequence[tuple[float, float]]) -> None:
        self._taken = [(x - 5, x + 5, y, 8.0) for x, y in dots]

    def place(self, name: str, x: float, y: float) -> str:
        """The name beside its dot at (x, y), with a line to it where it had to move away."""
        wide = _LETTER * len(name)
        shifts = [shift for step in range(30) for shift in (4.5 * step, -4.5 * step)]
        tried = [(x + 8 if right else x - 8 - wide, y + shift) for shift in shifts for right in (True, False)]
        left, height = next((spot for spot in tried if self._free(*spot, wide)), tried[0])
        self._taken.append((left, left + wide, height, 11.0))
        leader = _line("leader", x, y, left - 1 if left > x else left + wide + 1, height) if abs(height - y) > 8 else ""
        return f'{leader}<text class="name" x="{left:.1f}" y="{height + 3.5:.1f}">{_e(name)}</text>'

    def _free(self, left: float, height: float, wide: float) -> bool:
        if left < _LEFT + 2 or left + wide > WIDTH - 2 or not _TOP - 6 < height < HEIGHT - _BOTTOM:
            return False
        return all(
            abs(height - other) >= room or left + wide < first or last < left
            for first, last, other, room in self._taken
        )


def colour(number: int | None) -> str:
    """The style sheet's name of a colour."""
    return "c-rest" if number is None or number >= COLOURS else f"c{number}"


def _e(text: str) -> str:
    return html.escape(text)
