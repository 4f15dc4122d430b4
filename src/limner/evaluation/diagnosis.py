"""What is wrong with a set of pictures, in words: noise, blur, blocks, colours, missing kinds, repetition, copies.

Each fact of the samples stands beside the same fact of real pictures, and is a fault only where the gap is both larger
than real sets show among themselves by chance (`SURE` standard errors) and large enough to be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from limner.evaluation.copies import Siblings
from limner.evaluation.intervals import Floats
from limner.evaluation.kinds import Kinds
from limner.evaluation.looks import NAMES, Looks

SURE = 5.0
BLUR, ROUGH, NOISE, NOISE_TIMES, BLOCKS = 0.7, 1.5, 3.0, 2.0, 0.2
HUE, BRIGHTNESS, COLOURFULNESS, FLAT_CONTRAST, HARD_CONTRAST = 6.0, 15.0, 12.0, 0.7, 1.4
TWINS, COPIES, NEAR_COPIES, UNBALANCED, LITTLE = 0.2, 0.1, 0.2, 0.2, 0.5


@dataclass(frozen=True)
class Finding:
    """A fault: its name, and a sentence with the numbers."""

    name: str
    words: str


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong, the facts it rests on, and how often each class or kind of picture occurs.

    Attributes:
        facts: name to {"samples", "real", "other_real"}: the last is of other real pictures, to show the spread.
        classes: {"column", "names", "samples", "real"} with the shares of the set's own classes; None without any.
    """

    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, dict[str, float]] = field(default_factory=dict)
    classes: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        findings = [{"name": one.name, "words": one.words} for one in self.findings]
        return {
            "diagnosis": [one.words for one in self.findings],
            "findings": findings,
            "facts": dict(self.facts),
            "classes": self.classes,
        }


@dataclass(frozen=True)
class Twins:
    """Repetition among samples and copies of training pictures, beside the same of held-out real pictures.

    Attributes:
        different: how many of the samples are different pictures.
        twins: share of samples with an almost equal one among the samples. copies: share that are almost equal to a
            training picture. The `real_` ones are of real pictures.
        siblings: samples that seem to have been made of one training picture each.
    """

    different: int
    twins: float
    real_twins: float
    copies: float
    real_copies: float
    siblings: Siblings
    real_siblings: Siblings


def diagnose(
    samples: Looks, real: Looks, other: Looks, kinds: Sequence[Kinds], twins: Twins, measures: Mapping[str, Any]
) -> Diagnosis:
    """The diagnosis of samples beside the real pictures that they are compared with, and `other` real ones.

    Args:
        kinds: ways to sort the pictures, each of which may be out of balance.
        measures: precision and recall with their floors, see `limner.evaluation.result.Measure`.
    """
    count = len(samples.prints)
    ours = _Column(samples.table, effective=max(2.0, len(samples.table) * twins.different / count))
    theirs, others = _Column(real.table), _Column(other.table)
    facts = {
        name: {"samples": ours.mean(name), "real": theirs.mean(name), "other_real": others.mean(name)} for name in NAMES
    }
    facts["twins"] = {"samples": twins.twins, "real": twins.real_twins, "other_real": twins.real_twins}
    facts["copies"] = {"samples": twins.copies, "real": twins.real_copies, "other_real": twins.real_copies}
    near, real_near = twins.siblings.share, twins.real_siblings.share
    facts["near copies"] = {"samples": near, "real": real_near, "other_real": real_near}
    uneven = [kind for kind in kinds if kind.distance > UNBALANCED and kind.unbalanced(twins.different)]
    worst = max(uneven, key=lambda kind: kind.distance, default=None)
    findings = _repetition(twins, count)
    # What the mixture of classes explains is the classes' matter, and the other way round.
    alike = theirs if worst is None else _Column(real.table, weights=worst.weights(real.numbers))
    coarse = _coarse(ours, alike)
    findings += coarse
    colours = _colours(ours, alike, spoilt=bool(coarse))
    findings += colours
    if worst is not None and not coarse and not colours:
        findings.append(Finding("classes", worst.words()))
    uniform = any(one.name in ("repeated", "classes") for one in findings)
    findings += _likeness(measures, ("unlike",) if uniform else ("unlike", "variety"))
    classes = kinds[0].to_dict() if len(kinds) == 1 and kinds[0].column is not None else None
    return Diagnosis(tuple(findings), facts, classes)


class _Column:
    """Means and standard errors of a table (n, len(NAMES)); rows may be weighted, or be fewer in effect."""

    def __init__(self, table: Floats, effective: float | None = None, weights: Floats | None = None) -> None:
        weights = np.ones(len(table)) if weights is None else weights
        weights = weights / weights.sum()
        self._mean = weights @ table
        variance = weights @ np.square(table - self._mean)
        rows = 1 / np.square(weights).sum() if effective is None else effective
        self._error = variance / max(1.0, rows - 1)

    def mean(self, name: str) -> float:
        return float(self._mean[NAMES.index(name)])

    def error(self, name: str) -> float:
        """Squared standard error."""
        return float(self._error[NAMES.index(name)])


def _gap(ours: _Column, real: _Column, name: str) -> float:
    """The difference of the means, 0 where chance may have made it."""
    gap = ours.mean(name) - real.mean(name)
    return gap if abs(gap) > SURE * np.sqrt(ours.error(name) + real.error(name)) else 0.0


def _repetition(twins: Twins, count: int) -> list[Finding]:
    found = []
    if twins.twins > TWINS + 2 * twins.real_twins:
        different = f"{twins.different:,} different pictures" if twins.different > 1 else "one picture"
        words = f"repeats itself: only about {different} among {count:,}"
        found.append(Finding("repeated", words))
    if twins.copies > COPIES + 2 * twins.real_copies:
        words = f"copies: {twins.copies:.0%} are, or nearly are, training pictures; of real unseen pictures "
        found.append(Finding("copies", words + f"{twins.real_copies:.0%} are that near to one"))
    else:
        found += _near_copies(twins)
    return found


def _near_copies(twins: Twins) -> list[Finding]:
    """Training pictures changed a little: more samples than real unseen pictures stand beside one of them alone."""
    ours, real = twins.siblings, twins.real_siblings
    gap = ours.share - real.share
    if gap <= max(NEAR_COPIES, SURE * np.sqrt(ours.error(twins.different) + real.error(real.looked_at))):
        return []
    # Of those that were drawn anew, as many would stand beside one by chance as of the real ones.
    made = gap / (1 - real.share)
    words = f"near copies: about {made:.0%} seem to be training pictures with a little noise or another small change; "
    words += (
        f"{ours.share:.0%} are much nearer to one of them than to any other, of real unseen pictures {real.share:.0%}"
    )
    return [Finding("near copies", words)]


def _coarse(ours: _Column, real: _Column) -> list[Finding]:
    """Noise, JPEG's blocks, blur: what is wrong in every picture alike."""
    found = []
    noise, real_noise = ours.mean("noise"), real.mean("noise")
    if _gap(ours, real, "noise") > NOISE and noise > NOISE_TIMES * real_noise:
        words = (
            f"noisy: flat parts tremble by about {noise:.0f} grey levels of 255, in real pictures by {real_noise:.0f}"
        )
        found.append(Finding("noise", words))
    if min(ours.mean("blocks"), _gap(ours, real, "blocks")) > BLOCKS:
        words = "compressed: edges every 8 pixels, as strong JPEG leaves them, are "
        shares = (ours.mean("blocks"), real.mean("blocks"))
        words += f"{shares[0]:+.0%} of a usual step, in real pictures {shares[1]:+.0%}"
        found.append(Finding("jpeg", words))
    detail = (ours.mean("detail") / max(ours.mean("contrast"), 1e-6)) / (
        max(real.mean("detail"), 1e-6) / max(real.mean("contrast"), 1e-6)
    )
    if _gap(ours, real, "detail"):
        if detail < BLUR and "jpeg" not in {one.name for one in found}:
            found.append(Finding("blur", f"blurred: fine detail is {detail:.2g} times that of real pictures"))
        elif detail > ROUGH and not found:
            found.append(Finding("rough", f"too rough: fine detail is {detail:.2g} times that of real pictures"))
    return found


def _colours(ours: _Column, real: _Column, spoilt: bool) -> list[Finding]:
    """Wrong colours, else wrong light; brightness and contrast move with noise and blur, so not beside those."""
    colours, light = [], []
    red, yellow = (_gap(ours, real, name) for name in ("red_green", "yellow_blue"))
    # Noise that is cut off at black and white moves the means of strong colours.
    if np.hypot(red, yellow) > HUE + max(0.0, ours.mean("noise") - real.mean("noise")):
        colours.append(f"too {_hue(red, yellow)} by {np.hypot(red, yellow):.0f} grey levels")
    if not spoilt:
        colour = _gap(ours, real, "colourfulness")
        if abs(colour) > COLOURFULNESS:
            colours.append(f"too {'colourful' if colour > 0 else 'grey'} by {abs(colour):.0f} grey levels")
        bright = _gap(ours, real, "brightness")
        if abs(bright) > BRIGHTNESS:
            light.append(f"too {'bright' if bright > 0 else 'dark'} by {abs(bright):.0f} grey levels")
        share = ours.mean("contrast") / max(real.mean("contrast"), 1e-6)
        if _gap(ours, real, "contrast") and not FLAT_CONTRAST < share < HARD_CONTRAST:
            light.append(f"contrast {share:.2g} times that of real pictures")
    if colours:
        return [Finding("colours", f"wrong colours: {', '.join(colours + light)}")]
    return [Finding("light", f"wrong light: {', '.join(light)}")] if light else []


def _hue(red: float, yellow: float) -> str:
    """The colour that a cast of red minus green and yellow minus blue has."""
    names = ("red", "orange", "yellow", "yellow-green", "green", "blue-green", "blue", "purple")
    return names[round(np.arctan2(yellow, red) / (np.pi / 4)) % 8]


def _likeness(measures: Mapping[str, Any], asked: Sequence[str]) -> list[Finding]:
    """Few pictures that could pass for real ones; little variety."""
    found = []
    for name, measure, words in (
        (
            "unlike",
            measures["precision"],
            "unlike real pictures: {ours:.0%} could pass for real, of real ones {real:.0%}",
        ),
        ("variety", measures["recall"], "little variety: they reach {ours:.0%} of what there is, real ones {real:.0%}"),
    ):
        if name in asked and measure.high < LITTLE * measure.floor:
            found.append(Finding(name, words.format(ours=measure.value, real=measure.floor)))
    return found


def texts(findings: Sequence[Finding]) -> list[str]:
    """One line for each finding, or one that says that there is none."""
    return [f"Wrong: {one.words}." for one in findings] or ["Wrong: nothing that real pictures do not show as well."]
