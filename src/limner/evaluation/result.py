"""What a measurement found: for a program as a dictionary, for a person as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from limner.evaluation.agreement import Agreement
from limner.evaluation.classes import ByClass
from limner.evaluation.diagnosis import Diagnosis, texts
from limner.evaluation.meanings import MEANINGS, Measure
from limner.evaluation.protocol import require_one_protocol
from limner.pictures import writable, write_png


@dataclass(frozen=True)
class Nearest:
    """The nearest training picture of a few samples.

    Attributes:
        samples: numbers of the samples, in the order in which they were given.
        in_features, in_pixels: numbers of the nearest pictures in the pack, by each distance.
        feature_distances: Euclidean, in features; `usual` is the median of that of held-out pictures, NaN without any.
        pixel_distances: root mean square difference, 1 is the whole range.
        searched: training pictures looked through, by features and by pixels, of `training` in all.
        sheet: (H, W, C) uint8: the samples, and under each its nearest picture by features and by pixels.
    """

    samples: np.ndarray
    in_features: np.ndarray
    feature_distances: np.ndarray
    in_pixels: np.ndarray
    pixel_distances: np.ndarray
    usual: float
    searched: tuple[int, int]
    training: int
    sheet: np.ndarray = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, one row a sample."""
        rows = zip(
            self.samples,
            self.in_features,
            self.feature_distances,
            self.in_pixels,
            self.pixel_distances,
            strict=True,
        )
        return {
            "usual_feature_distance": None if np.isnan(self.usual) else self.usual,
            "searched_by_features": self.searched[0],
            "searched_by_pixels": self.searched[1],
            "training_pictures": self.training,
            "samples": [
                {
                    "sample": int(sample),
                    "by_features": {"picture": int(a), "distance": float(d)},
                    "by_pixels": {"picture": int(b), "distance": float(r)},
                }
                for sample, a, d, b, r in rows
            ],
        }

    def text(self) -> str:
        """One line for a person."""
        line = (
            f"Nearest training picture: {_short(float(np.median(self.feature_distances)))} away in features, median of "
        )
        line += f"{len(self.samples)} samples"
        if not np.isnan(self.usual):
            line += f"; held-out pictures: {_short(self.usual)}. Far less would mean copies"
        return line + "."


@dataclass(frozen=True)
class Result:
    """The measures of one set of samples under one protocol.

    Attributes:
        protocol: id; results with different ids must not be compared.
        protocol_detail: what the id stands for.
        n: samples measured, and real pictures on the other side.
        measures: by the keys of `MEANINGS`; `is` is missing where the features have no classes.
        classes: the head whose classes the Inception Score uses.
        nearest: the nearest training pictures of a few samples.
        notes: what a reader should know, one sentence each.
        diagnosis: what is wrong with the samples, in words; None where nobody looked.
        by_class: each class by itself; None where nobody asked.
        asked: whether what was asked for is in the pictures; None where nobody wanted to know.
    """

    protocol: str
    protocol_detail: dict[str, Any]
    n: int
    measures: dict[str, Measure]
    classes: str | None
    nearest: Nearest | None
    notes: tuple[str, ...] = ()
    diagnosis: Diagnosis | None = None
    by_class: ByClass | None = None
    asked: Agreement | None = None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Result:
        """A result from what `to_dict` gave, without the nearest pictures."""
        keys = [field.name for field in dataclasses.fields(Measure)]
        measures = {name: Measure(**{key: said[name][key] for key in keys}) for name in MEANINGS if name in said}
        classes = said["is"]["classes"] if "is" in said else None
        by_class = None if said.get("by_class") is None else ByClass.of(said["by_class"])
        known = (said["protocol"], said["protocol_detail"], said["n"], measures, classes, None, tuple(said["notes"]))
        asked = None if said.get("asked") is None else Agreement.of(said["asked"])
        return cls(*known, by_class=by_class, asked=asked)

    def __getitem__(self, name: str) -> Measure:
        return self.measures[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found: dict[str, Any] = {"protocol": self.protocol, "protocol_detail": self.protocol_detail, "n": self.n}
        for name, m in self.measures.items():
            found[name] = m.to_dict()
        if "is" in found:
            found["is"]["classes"] = self.classes
        found["nearest"] = None if self.nearest is None else self.nearest.to_dict()
        found["notes"] = list(self.notes)
        found |= (self.diagnosis or Diagnosis()).to_dict()
        found["by_class"] = None if self.by_class is None else self.by_class.to_dict()
        found["asked"] = None if self.asked is None else self.asked.to_dict()
        return found

    def text(self) -> str:
        """A table for a person, with a sentence on each number."""
        detail = self.protocol_detail
        lines = [
            f"{self.n:,} samples against {self.n:,} {detail['split']} pictures, features {detail['features']!r}",
            "",
            f"{'':16}{'value':>10}   {'95 % interval':<18}{'floor':>10}   better",
        ]
        for name, m in self.measures.items():
            title, better, meaning = MEANINGS[name]
            if name == "is":
                meaning += f" (classes: {self.classes})"
            interval = f"{_short(m.low)} to {_short(m.high)}"
            lines += [f"{title:16}{_short(m.value):>10}   {interval:<18}{_short(m.floor):>10}   {better}: {meaning}"]
        lines += [
            "",
            "The floor is what real pictures score in place of samples: no generator needs to be better than that.",
        ]
        if self.nearest is not None:
            lines.append(self.nearest.text())
        if self.diagnosis is not None:
            lines += texts(self.diagnosis.findings)
        if self.by_class is not None:
            lines += [*self.by_class.text(), ""]
        if self.asked is not None:
            lines += ["", *self.asked.text(), ""]
        lines += [f"Note: {note}" for note in self.notes]
        lines.append(f"Protocol {self.protocol}: compare only with results of the same protocol.")
        return "\n".join(lines)

    def save_sheet(self, path: str | Path) -> Path:
        """Writes the sheet of nearest training pictures as a PNG."""
        if self.nearest is None:
            raise ValueError("this result was measured without a search for nearest pictures")
        path = writable(path)
        write_png(path, self.nearest.sheet)
        return path


def _short(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def compare(results: Sequence[Result], by: str = "fd") -> list[int]:
    """Order of results under one protocol, best first by one measure.

    Raises UserError where the protocols differ, naming what does.
    """
    require_one_protocol(results)
    sign = 1 if MEANINGS[by][1] == "lower" else -1
    return sorted(range(len(results)), key=lambda i: sign * results[i][by].value)
