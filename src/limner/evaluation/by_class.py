"""How good each class is by itself: pictures painted with its label, against real ones that have it.

A class has few pictures, so these numbers are noisier than those of the whole set, and the Fréchet distance is larger
by its bias. All classes share one number of pictures where the set has as many, a floor of the same number stands
beside each, and classes with too few pictures to say anything get none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from limner.errors import UserError
from limner.evaluation.classes import ByClass, OfClass
from limner.evaluation.distances import Kernel, Moments, frechet_distance, frechet_value, kernel_distance
from limner.evaluation.features import Features
from limner.evaluation.meanings import Measure, leading
from limner.evaluation.neighbours import Balls, manifold
from limner.evaluation.protocol import digest_indices, protocol_id
from limner.evaluation.reference import Progress, features_of, shuffled
from limner.evaluation.samples import Labelled

if TYPE_CHECKING:
    from limner.data import Pack

FEWEST = 50
"""Pictures of a class below which an interval says nothing."""
NEIGHBOURS = 5


@dataclass(frozen=True)
class RealClasses:
    """The real side of each class.

    Attributes:
        column: of the labels. names: of the classes.
        share: of each class at most so many pictures, the same for all.
        reference, stand_in: numbers in the pack, none in common: what samples of a class are compared with, and real
            pictures in their place, equally many; empty where there are fewer than `FEWEST`.
        had: how many pairs of them there would be.
    """

    column: str
    names: tuple[str, ...]
    share: int
    reference: tuple[np.ndarray, ...]
    stand_in: tuple[np.ndarray, ...]
    had: tuple[int, ...]

    @property
    def measured(self) -> list[str]:
        """The classes with enough pictures."""
        return [name for name, numbers in zip(self.names, self.reference, strict=True) if len(numbers)]

    @property
    def most(self) -> int:
        """The most pictures that are measured of any class."""
        return max(map(len, self.reference), default=0)


def real_classes(pack: Pack, against: str, n: int, seed: int) -> RealClasses | None:
    """At most n real pictures in all, as many of each class as there are; None for a set without classes.

    Sides are chosen as in `limner.evaluation.measure.choose_real`.
    """
    column = pack.manifest.class_column
    if column is None or len(pack.classes) < 2:
        return None
    share = n // len(pack.classes)
    train = shuffled(pack.train, seed, "train")
    part = train if against == "train" else shuffled(pack.held_out, seed, "held-out")
    of_train, of_part = (pack.labels(numbers, column) for numbers in (train, part))
    assert of_train is not None and of_part is not None, "the column is one of the pack's"
    reference, stand_in, had = [], [], []
    for code in range(len(pack.classes)):
        real, other = part[of_part == code], train[of_train == code]
        if against == "train":
            real, other = real[: len(real) // 2], real[len(real) // 2 :]
        count = min(share, len(real), len(other))
        had.append(count)
        count = count if count >= FEWEST else 0
        reference.append(real[:count])
        stand_in.append(other[:count])
    return RealClasses(column, pack.classes, share, tuple(reference), tuple(stand_in), tuple(had))


def evaluate_classes(
    samples: Labelled,
    real: RealClasses,
    pack: Pack,
    network: Features,
    against: str,
    progress: Progress | None = None,
) -> ByClass:
    """Measures labelled samples class by class; `real` and `against` as in `real_classes`."""
    chosen = [np.flatnonzero(samples.labels == code)[: len(numbers)] for code, numbers in enumerate(real.reference)]
    why = [_why(real, len(mine), code) for code, mine in enumerate(chosen)]
    wanted = [code for code, reason in enumerate(why) if reason is None]
    scored: dict[int, Mapping[str, Measure]] = {}
    if wanted:
        fakes = network.extract(samples.read(np.concatenate([chosen[code] for code in wanted])))
        sides = [
            features_of(pack, np.concatenate([side[code] for code in wanted]), network, progress)
            for side in (real.reference, real.stand_in)
        ]
        ends = np.cumsum([len(chosen[code]) for code in wanted])
        for number, (code, end) in enumerate(zip(wanted, ends, strict=True)):
            rows = slice(end - len(chosen[code]), end)
            scored[code] = _measures(fakes[rows], *(side[rows] for side in sides))
            if progress is not None:
                progress("class by class", (number + 1) / len(wanted))
    detail = {
        "features": network.name,
        "features_hash": network.hash,
        "resizer": network.resizer,
        "n": real.share,
        "data": str(pack.id),
        "split": f"{against}-classes",
        "column": real.column,
        "reference": digest_indices(np.concatenate(real.reference)),
        "neighbours": NEIGHBOURS,
    }
    classes = [
        OfClass(name, len(real.reference[code]) if code in scored else 0, scored.get(code, {}), why[code])
        for code, name in enumerate(real.names)
    ]
    return ByClass(protocol_id(detail), real.column, leading(real.most, network.dimension), tuple(classes))


def _why(real: RealClasses, samples: int, code: int) -> str | None:
    """Why a class is not measured, None where it is."""
    if real.had[code] < FEWEST:
        short = "its share" if real.had[code] == real.share else "real ones on either side"
        return f"too few pictures: {real.had[code]} are {short}, at least {FEWEST} are needed"
    needed = len(real.reference[code])
    return None if samples >= needed else f"too few samples: {samples} are labelled so, {needed} are needed"


def _measures(fake: np.ndarray, reference: np.ndarray, stand_in: np.ndarray) -> dict[str, Measure]:
    moments, kernel, balls = Moments(reference), Kernel(reference), Balls(reference, NEIGHBOURS)
    distance = frechet_distance(fake, moments)
    found = {
        "fd": Measure(distance.value, distance.low, distance.high, frechet_value(Moments(stand_in), moments)),
        "kid": Measure.of(kernel_distance(fake, kernel), kernel_distance(stand_in, kernel)),
    }
    ours, floor = manifold(balls, fake, NEIGHBOURS), manifold(balls, stand_in, NEIGHBOURS)
    for name in ("precision", "recall"):
        found[name] = Measure.of(getattr(ours, name), getattr(floor, name))
    return found


def require_classes(pack: Pack, real: RealClasses | None, n: int) -> RealClasses:
    """What is measured class by class. Raises `UserError` where nothing can be."""
    if real is None:
        raise UserError(f"{pack.path.name} has no classes to measure one by one: leave --per-class away")
    if not real.measured:
        raise UserError(
            f"no class has {FEWEST} pictures on either side (at most {max(real.had)}, -n {n:,} shared out over "
            f"{len(real.names)} classes): give a larger -n or more data, or leave --per-class away"
        )
    return real
