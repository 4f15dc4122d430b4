"""Which way of sampling is best: one generator painted with many options, each measured alike."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from limner.studies import plots
from limner.studies.page import document, escape, heading, legend, section
from limner.studies.plots import Series

SHOWN = ("fd", "kid", "precision", "recall")
_SUBTITLE = (
    "{n:,} pictures of each way, measured alike. The Fréchet distance says how far they lie from real pictures: lower "
    "is better. Network passes are what a picture costs."
)
STEPS = "steps"
"""The option that a line of the chart of costs runs along, where it varies."""


@dataclass(frozen=True)
class Point:
    """One way of sampling.

    Attributes:
        run: whose pictures. options: how they were painted.
        evaluations: network passes that a picture costs.
        measures: by key, each {"value", "low", "high", "floor", ...}; empty where it could not be done.
        why: the reason of that, in one line.
    """

    run: str
    options: Mapping[str, Any]
    evaluations: int = 0
    measures: Mapping[str, Any] = field(default_factory=dict)
    why: str | None = None

    def line(self, along: str) -> str:
        """What all points of one line of a chart have in common that runs along an option."""
        return " ".join([self.run, *(f"{key}={value}" for key, value in self.options.items() if key != along)])

    @property
    def name(self) -> str:
        """The run and all options."""
        return self.line("")

    @property
    def fd(self) -> float:
        """Fréchet distance; infinite where there is none."""
        return float(self.measures["fd"]["value"]) if self.measures else float("inf")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        known = {"run": self.run, "options": dict(self.options), "evaluations": self.evaluations, "why": self.why}
        return {**known, **self.measures}


def ways(over: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of values, the last option changing fastest; one empty way where nothing varies."""
    return [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]


def ranked(points: Sequence[Point]) -> list[Point]:
    """Those that were measured, the best first; of equals the cheaper."""
    return sorted((point for point in points if point.measures), key=lambda point: (point.fd, point.evaluations))


def cheapest_as_good(points: Sequence[Point]) -> Point:
    """The way with fewest network passes whose distance lies within the best one's interval."""
    best = ranked(points)[0]
    as_good = [point for point in ranked(points) if point.fd <= float(best.measures["fd"]["high"])]
    return min(as_good, key=lambda point: (point.evaluations, point.fd))


def in_words(points: Sequence[Point]) -> list[str]:
    """What was found, in sentences."""
    best, cheap = ranked(points)[0], cheapest_as_good(points)
    said = [f"Best: {best.name}, {_worth(best)}, where real pictures score {_value(best, 'fd', 'floor')} (the floor)."]
    if cheap is not best:
        said.append(f"As good within its interval, and the cheapest: {cheap.name}, {_worth(cheap)}.")
    return said


def _worth(point: Point) -> str:
    return f"Fréchet distance {_value(point, 'fd')} in {point.evaluations} network passes a picture"


def text(points: Sequence[Point]) -> str:
    """A table for a terminal, the best first, then what could not be done."""
    rows = [["", "passes", *SHOWN]]
    rows += [[p.name, str(p.evaluations), *(_value(p, key) for key in SHOWN)] for p in ranked(points)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *(f"{p.name}: {p.why}" for p in points if p.why), *in_words(points)])


def _value(point: Point, key: str, what: str = "value") -> str:
    return plots.short(float(point.measures[key][what])) if key in point.measures else ""


def page(points: Sequence[Point], n: int, command: Sequence[str]) -> str:
    """The report as one HTML file that needs no other."""
    found = ranked(points)
    parts = [heading("How should it be sampled?", _SUBTITLE.format(n=n), in_words(points))]
    parts += [*_charts(found), section("All ways", _table(found))]
    if failed := [point for point in points if point.why]:
        rows = "".join(f"<li>{escape(p.name)}: {escape(p.why or '')}</li>" for p in failed)
        parts.append(section("Could not be done", f"<ul>{rows}</ul>"))
    parts.append(section("Do it again", f"<pre>{escape(shlex.join(command))}</pre>"))
    return document("How should it be sampled?", parts)


def _charts(points: Sequence[Point]) -> list[str]:
    """Quality against cost; and what else was varied in numbers, as a path between fidelity and diversity."""
    varied = [key for key in points[0].options if key != STEPS and _varies(points, key)]
    if _varies(points, STEPS) or not varied:
        found = [section("Quality against cost", _quality(points, STEPS))]
    else:
        found = [section(f"Quality against {varied[0]}", _quality(points, varied[0]))]
    if varied and all({"precision", "recall"} <= set(point.measures) for point in points):
        found.append(section("Fidelity against diversity", _path(points, varied[0])))
    return found


def _varies(points: Sequence[Point], key: str) -> bool:
    values = {point.options.get(key) for point in points}
    return len(values) > 1 and all(isinstance(value, int | float) for value in values)


def _along(points: Sequence[Point], key: str) -> dict[str, list[Point]]:
    lines: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda point: (point.options.get(key, 0), point.evaluations)):
        lines.setdefault(point.line(key), []).append(point)
    return lines


def _quality(points: Sequence[Point], key: str) -> str:
    def at(point: Point) -> float:
        return float(point.evaluations if key == STEPS else point.options[key])

    series = [
        Series(name, [(at(point), point.fd) for point in of_line], number)
        for number, (name, of_line) in enumerate(_along(points, key).items())
    ]
    floor = min(float(point.measures["fd"]["floor"]) for point in points)
    keys = legend((one.name, plots.colour(one.colour)) for one in series)
    return plots.lines(series, "network passes a picture" if key == STEPS else key, "Fréchet distance", floor) + keys


def _path(points: Sequence[Point], key: str) -> str:
    lines = _along(points, key)
    series = [
        Series(name, [(float(p.measures["recall"]["value"]), float(p.measures["precision"]["value"])) for p in of], k)
        for k, (name, of) in enumerate(lines.items())
    ]
    names = [[plots.short(float(point.options[key])) for point in of_line] for of_line in lines.values()]
    said = (
        f"Beside each point: {escape(key)}. Up: more of the pictures look real. Right: more of what is real is painted."
    )
    keys = legend((one.name, plots.colour(one.colour)) for one in series)
    return plots.trails(series, names, "recall", "precision") + keys + f"<p class='small'>{said}</p>"


def _table(points: Sequence[Point]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("way", "passes", *SHOWN))
    body = ""
    for point in points:
        cells = "".join(f"<td>{_value(point, key)}</td>" for key in SHOWN)
        body += f"<tr><th scope='row'>{escape(point.name)}</th><td>{point.evaluations}</td>{cells}</tr>"
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
