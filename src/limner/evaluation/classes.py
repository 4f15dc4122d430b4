"""What was found of each class by itself: as plain values, as text, and which is worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from limner.evaluation.meanings import MEANINGS, Measure

SHOWN = ("fd", "kid", "precision", "recall")


@dataclass(frozen=True)
class OfClass:
    """One class: its measures by the keys of `MEANINGS`, of `n` pictures on either side; or why there are none."""

    name: str
    n: int
    measures: Mapping[str, Measure] = field(default_factory=dict)
    why: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        found = {name: one.to_dict() for name, one in self.measures.items()}
        return {"class": self.name, "n": self.n, "why": self.why, **found}

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> OfClass:
        """What `to_dict` gave."""
        measures = {name: Measure(**said[name]) for name in SHOWN if name in said}
        return cls(said["class"], said["n"], measures, said["why"])


@dataclass(frozen=True)
class ByClass:
    """Each class by itself, under a protocol of its own.

    Attributes:
        column: of the labels. classes: in the order of the set. by: the measure that tells the worst.
    """

    protocol: str
    column: str
    by: str
    classes: tuple[OfClass, ...]

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> ByClass:
        """What `to_dict` gave."""
        classes = tuple(map(OfClass.of, said["classes"]))
        return cls(said["protocol"], said["column"], said["by"], classes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "protocol": self.protocol,
            "column": self.column,
            "by": self.by,
            "words": self.words(),
            "classes": [one.to_dict() for one in self.classes],
        }

    def words(self) -> str:
        """The worst class in a sentence, and how many were left out."""
        known = [one for one in self.classes if one.measures]
        left = len(self.classes) - len(known)
        if not known:
            return f"no class could be measured: {self.classes[0].why}"
        worst = max(known, key=lambda one: one.measures[self.by].value - one.measures[self.by].floor)
        bad, title = worst.measures[self.by], MEANINGS[self.by][0]
        others = [one.measures[self.by] for one in known if one is not worst]
        said = f"worst class {worst.name!r}: {title} {bad.value:.3g}, other real pictures of it {bad.floor:.3g}"
        if others and all(bad.low < other.high for other in others):
            said += "; but no class is clearly worse than any other"
        return said + (f"; {left} of {len(self.classes)} classes have too few pictures to say" if left else "")

    def text(self) -> list[str]:
        """A table for a person."""
        lines = ["", f"Class by class ({self.column}); in brackets what other real pictures of the class score:"]
        titles = "".join(f"{MEANINGS[name][0]:>26}" for name in SHOWN)
        wide = max(14, *(len(one.name) + 2 for one in self.classes))
        lines.append(f"{'':{wide}}{'pictures':>9}{titles}")
        for one in self.classes:
            cells = "".join(f"{m.value:>16.4g} ({m.floor:>7.4g})" for m in one.measures.values())
            lines.append(f"{one.name:{wide}}{one.n:>9,}{cells or '   ' + str(one.why)}")
        return [*lines, f"By class: {self.words()}."]
