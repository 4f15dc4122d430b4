"""Health in words: what goes wrong in a training, how it is known, what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from limner.training.loop import Trainer

EARLY = 0.4
"""Before this share of the plan pictures are bad because they are young; nothing is wrong yet."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its name, how it is known, a remedy."""

    name: str
    evidence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name} ({self.evidence}) - {self.remedy}"


class Health:
    """Looks at samples, losses and the gap between training and held-out pictures."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._gaps: list[float] = []
        self._losses: list[float] = []

    def look(
        self, trainer: Trainer, samples: np.ndarray, seen: Mapping[str, float], unseen: Mapping[str, float]
    ) -> list[Finding]:
        """Findings that are new since the last look. Samples are uint8 (n, H, W, C); `seen` and `unseen` are probes."""
        real = trainer.pack.read(trainer.pack.train[: len(samples)])
        found = [
            colour_cast(samples, real),
            saturation(samples, real),
            collapse(samples, real),
            discriminator_wins(trainer.smooth),
            self._no_learning(trainer),
            self._overfitting(seen, unseen),
        ]
        if trainer.plan.fraction(trainer.step) < EARLY:
            return []
        now = [finding for finding in found if finding is not None]
        new = [finding for finding in now if finding.name not in self._said]
        self._said = {finding.name for finding in now}
        return new

    def _no_learning(self, trainer: Trainer) -> Finding | None:
        self._losses.append(sum(abs(value) for value in trainer.smooth.values()))
        if len(self._losses) < 3 or any("critic" in name or "discriminator" in name for name in trainer.smooth):
            return None
        first, last = self._losses[0], self._losses[-1]
        if abs(first - last) > 1e-4 * abs(first):
            return None
        return Finding("no learning", f"the loss stands at {last:.4g}", "raise the learning rate (--set rate=...)")

    def _overfitting(self, seen: Mapping[str, float], unseen: Mapping[str, float]) -> Finding | None:
        if not seen or not unseen:
            return None
        name = next(iter(seen))
        self._gaps.append(unseen[name] - seen[name])
        scale = abs(seen[name]) + 1e-9
        grows = len(self._gaps) >= 2 and abs(self._gaps[-1]) > abs(self._gaps[0])
        if not grows or abs(self._gaps[-1]) < 0.15 * scale:
            return None
        evidence = f"{name} is {seen[name]:.4g} on training and {unseen[name]:.4g} on held-out pictures"
        return Finding(
            "overfitting", evidence, "train shorter, add pictures, or augment (--set flip=0.5 --set shift=0.1)"
        )


def colour_cast(samples: np.ndarray, real: np.ndarray) -> Finding | None:
    """A channel's mean that is off by more than an eighth of the range."""
    off = (samples.mean(axis=(0, 1, 2)) - real.mean(axis=(0, 1, 2))) / _range(samples)
    worst = int(np.abs(off).argmax())
    if abs(off[worst]) < 0.125:
        return None
    name = ("red", "green", "blue", "alpha")[worst] if len(off) >= 3 else "grey"
    evidence = f"{name} is {abs(off[worst]):.0%} {'above' if off[worst] > 0 else 'below'} the training pictures"
    return Finding("colour cast", evidence, "train longer; if it stays, lower the learning rate")


def saturation(samples: np.ndarray, real: np.ndarray) -> Finding | None:
    """Far more values at either end of the range than real pictures have."""
    top = _range(samples)

    def extreme(pictures: np.ndarray) -> float:
        return float(((pictures <= 0.01 * top) | (pictures >= 0.99 * top)).mean())

    ours, theirs = extreme(samples), extreme(real)
    if ours < theirs + 0.3:
        return None
    evidence = f"{ours:.0%} of the values are at an end, {theirs:.0%} in real pictures"
    return Finding("saturation", evidence, "lower the learning rate")


def collapse(samples: np.ndarray, real: np.ndarray) -> Finding | None:
    """Samples that differ from each other far less than real pictures do."""

    def spread(pictures: np.ndarray) -> float:
        return float(pictures.astype(np.float32).std(axis=0).mean())

    ours, theirs = spread(samples), spread(real)
    if theirs == 0 or ours > 0.4 * theirs:
        return None
    remedy = "lower the discriminator's rate, or take another loss (--set loss=hinge)"
    return Finding("collapse", f"samples vary {ours / theirs:.0%} as much as real pictures", remedy)


def discriminator_wins(losses: Mapping[str, float]) -> Finding | None:
    """A discriminator that tells real from fake without error leaves the generator nothing to follow."""
    real = next((value for name, value in losses.items() if name.endswith("/p_real")), None)
    fake = next((value for name, value in losses.items() if name.endswith("/p_fake")), None)
    if real is None or fake is None or real < 0.98 or fake > 0.02:
        return None
    remedy = "lower the discriminator's rate, smooth its labels, or add noise to its input"
    return Finding("the discriminator wins", f"D(real) {real:.2f}, D(fake) {fake:.2f}", remedy)


def _range(pictures: np.ndarray) -> float:
    return float(np.iinfo(pictures.dtype).max)
