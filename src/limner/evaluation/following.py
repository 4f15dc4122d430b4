"""Does what a training records follow how good its pictures are?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limner.errors import UserError


@dataclass(frozen=True)
class Following:
    """How a recorded loss and the scores taken along a training go together.

    Attributes:
        steps: of the scores. losses: the loss there, as recorded last before. scores: those of the pictures.
        spearman: rank correlation, 1 where both always fall together. p: of as large a one by chance.
    """

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    scores: tuple[float, ...]
    spearman: float
    p: float


def following(
    records: Sequence[Mapping[str, Any]], loss: str = "discriminator/distance", score: str = "fd"
) -> Following:
    """The rank correlation of a loss and a score over the scored steps of a run.

    Args:
        records: of metrics.jsonl. loss: "phase/name", as recorded there. score: lower is better.

    Raises:
        UserError: nothing of that name was recorded, or fewer than three scores were taken.
    """
    from scipy.stats import spearmanr

    told = {int(one["step"]): one["losses"] for one in records if "losses" in one}
    names = {name for losses in told.values() for name in losses}
    if loss not in names:
        raise UserError(f"no loss {loss} was recorded: choose one of {', '.join(sorted(names)) or 'none'}")
    pairs = []
    for one in records:
        if "score" not in one:
            continue
        before = [step for step, losses in told.items() if step <= one["step"] and loss in losses]
        if before:
            pairs.append((int(one["step"]), float(told[max(before)][loss]), float(one["score"][score])))
    if len(pairs) < 3:
        raise UserError(f"{len(pairs)} scores were taken, and a correlation needs 3: train with --set scores=12")
    steps, losses, scores = zip(*pairs, strict=True)
    found = spearmanr(losses, scores)
    return Following(steps, losses, scores, float(found.statistic), float(found.pvalue))
