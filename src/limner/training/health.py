"""Health in words: what goes wrong in a training, how it is known, what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


def findings(
    trainer: Trainer,
    samples: np.ndarray,
    seen: Mapping[str, float],
    unseen: Mapping[str, float],
    history: Sequence[Mapping[str, Any]],
) -> list[Finding]:
    """All that is wrong now.

    Args:
        samples: uint8 (n, H, W, C), from the averaged weights.
        seen, unseen: the model's probe of training and of held-out pictures.
        history: earlier score records of metrics.jsonl, so that a resumed run says what an unbroken one says.
    """
    if trainer.plan.fraction(trainer.step) < EARLY:
        return []
    real = trainer.pack.read(trainer.pack.train[: len(samples)])
    found = [
        colour_cast(samples, real),
        saturation(samples, real),
        collapse(samples, real) if trainer.model.varies else None,
        discriminator_wins(trainer.smooth),
        too_steep(trainer.smooth),
        no_learning([record["level"] for record in history] + [level(trainer.smooth)], trainer.smooth),
        overfitting([(record["train"], record["held_out"]) for record in history] + [(seen, unseen)]),
    ]
    return [finding for finding in found if finding is not None]


def level(losses: Mapping[str, float]) -> float:
    """The losses' size in one number."""
    return sum(abs(value) for value in losses.values())


def no_learning(levels: Sequence[float], losses: Mapping[str, float]) -> Finding | None:
    """A loss that does not move; of adversaries' losses, or none, nothing can be concluded."""
    if len(levels) < 3 or not losses or any("critic" in name or "discriminator" in name for name in losses):
        return None
    first, last = levels[0], levels[-1]
    if abs(first - last) > 1e-4 * abs(first):
        return None
    return Finding("no learning", f"the loss stands at {last:.4g}", "raise the learning rate (--set rate=...)")


def overfitting(probes: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> Finding | None:
    """A gap between training and held-out pictures that is large and grows."""
    gaps = [
        (name, unseen[name] - seen[name], seen[name]) for seen, unseen in probes for name in list(seen)[:1] if unseen
    ]
    if len(gaps) < 2 or abs(gaps[-1][1]) <= abs(gaps[0][1]):
        return None
    name, gap, value = gaps[-1]
    if abs(gap) < 0.15 * abs(value) + 1e-9:
        return None
    evidence = f"{name} is {value:.4g} on training and {value + gap:.4g} on held-out pictures"
    remedy = "train shorter, add pictures, or augment (--set flip=0.5 --set shift=0.1)"
    return Finding("overfitting", evidence, remedy)


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
    """A discriminator that tells real from fake without error leaves the generator nothing to follow.

    Probabilities only: a critic's distance may be as large as it likes.
    """
    real, fake, pair = (_recorded(losses, name) for name in ("p_real", "p_fake", "p_pair"))
    remedy = "lower the discriminator's rate, smooth its labels, or add noise to its input"
    if real is not None and fake is not None and real >= 0.98 and fake <= 0.02:
        return Finding("the discriminator wins", f"D(real) {real:.2f}, D(fake) {fake:.2f}", remedy)
    if pair is not None and pair >= 0.98:
        remedy = "lower the discriminator's rate, hold its slope (--set r1=1 --set r2=1), or add noise to its input"
        return Finding("the discriminator wins", f"it is right about {pair:.1%} of the pairs", remedy)
    return None


def too_steep(losses: Mapping[str, float]) -> Finding | None:
    """A critic that breaks the bound on its slope: what it measures is no distance, and grows without end.

    Where all pictures lie d apart, gain and penalty balance at the slope s = 1 + d / (2 weight). There the penalty is
    (s - 1) / (2 s) of the distance s d that is recorded: never half of it, however large the pictures.
    """
    slope, penalty, distance = (_recorded(losses, name) for name in ("slope", "gp", "distance"))
    if slope is None or penalty is None or slope < 2 or (distance is not None and penalty < distance):
        return None
    remedy = "raise the penalty (--set gp=...), take it more often, or lower the discriminator's rate"
    evidence = f"its slope is {slope:.1f} times the wanted one, the penalty {penalty:.3g}"
    return Finding("the critic is too steep", evidence, remedy)


def _recorded(losses: Mapping[str, float], name: str) -> float | None:
    return next((value for key, value in losses.items() if key.endswith(f"/{name}")), None)


def _range(pictures: np.ndarray) -> float:
    return float(np.iinfo(pictures.dtype).max)
