"""`evaluate`: samples against the real pictures of a pack, under a protocol that is named in the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from limner.errors import UserError
from limner.evaluation.by_class import evaluate_classes, real_classes, require_classes
from limner.evaluation.copies import Training, copied, siblings
from limner.evaluation.diagnosis import Diagnosis, Twins, diagnose
from limner.evaluation.distances import Kernel, Moments, frechet_distance, inception_score, kernel_distance
from limner.evaluation.features import Features, load
from limner.evaluation.kinds import Neighbours, kinds_of, repetition
from limner.evaluation.looks import Looks
from limner.evaluation.meanings import Measure
from limner.evaluation.nearest import nearest_training
from limner.evaluation.neighbours import Balls, manifold, nearest_rows
from limner.evaluation.protocol import digest_indices, protocol_id
from limner.evaluation.reference import Progress, features_of, read_blocks, shuffled
from limner.evaluation.result import Result
from limner.evaluation.samples import Samples, open_labelled, open_samples

if TYPE_CHECKING:
    from limner.data import Pack

NEIGHBOURS = 5
FEWEST = 2 * (NEIGHBOURS + 1)  # pictures below which k neighbours and an interval mean nothing
_POOL = 10_000  # training pictures searched by features
_USUAL = 500  # held-out pictures whose distance to the training pictures is taken as usual
_KNOWN = 2000  # training pictures whose neighbours tell how far neighbours' labels can be trusted
_SHOWN = 8  # samples whose nearest training pictures are shown

Against = Literal["held-out", "train"]


@dataclass(frozen=True)
class Real:
    """The real side: what samples are compared with, and real pictures put in the samples' place for the floor."""

    reference: np.ndarray  # numbers in the pack (n,)
    stand_in: np.ndarray  # (n,)
    pool: np.ndarray  # training pictures, random order; searched for the nearest
    unseen: np.ndarray  # held-out pictures; their distance to the pool is what is usual


def choose_real(pack: Pack, against: Against, n: int, seed: int) -> Real:
    """Real pictures for both sides.

    Against the held-out part, training pictures stand in for samples: the floor is what a generator that has learnt
    the training distribution perfectly would score, on the same reference at the same n. Against the training part,
    both are training pictures, none in common; where it is too small for two sets of n, held-out pictures stand in if
    there are enough of them, and otherwise both sides have half of it.
    """
    train = shuffled(pack.train, seed, "train")
    held = shuffled(pack.held_out, seed, "held-out")
    if against == "held-out":
        n = min(n, len(held), len(train))
        return Real(held[:n], train[:n], train[: max(n, _POOL)], held[:n])
    if len(train) >= 2 * n or len(train) >= 2 * len(held):
        n = min(n, len(train) // 2)
        return Real(train[:n], train[n : 2 * n], train[: max(2 * n, _POOL)], held[:n])
    n = min(n, len(held), len(train))
    return Real(train[:n], held[:n], train[: max(n, _POOL)], held[:n])


def evaluate(
    samples: Samples,
    pack: Pack,
    *,
    against: Against = "held-out",
    n: int = 2500,
    features: str | Path | Features = "default",
    seed: int = 0,
    labelled: str | Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Measures samples against real pictures.

    Args:
        samples: uint8 pictures (N, H, W, C), blocks of them, a folder or archive of pictures, or an .npz file.
        pack: the packed set (`limner.data.pack`), at the samples' size.
        against: which part of the set: `held-out`, never trained on, or `train`.
        n: samples, and real pictures on the other side; fewer where there are fewer of either, which the result says.
        features: a feature network, by name, by path or loaded.
        seed: of the choice of pictures; part of the protocol through them.
        labelled: samples with labels, which may be the same ones: each class is measured by itself as well.
        progress: called with what is being done and its share.

    Raises UserError where a part has no pictures, sizes differ, or there are fewer than 12 pictures.
    """
    if against not in ("held-out", "train"):
        raise UserError(f"unknown part {against!r} to compare with: give held-out or train")
    network = load(features)
    channels, height, width = pack.shape
    real = choose_real(pack, against, n, seed)
    _enough(len(real.reference), f"real pictures in the {against} part", "give more data, or --against train")
    possible = len(real.reference)
    classes = None
    if labelled is not None:
        wanted = require_classes(pack, real_classes(pack, against, possible, seed), possible)
        classes = (open_labelled(labelled, (height, width), wanted.names), wanted)
    opened = open_samples(samples, (height, width), possible, seed)
    seen = Looks(possible, height * width)
    fake, pictures = _extract(opened.blocks, network, possible, seen, progress)
    _enough(len(fake), "samples", "make more")
    notes = _notes(n, possible, len(fake), against, network.dimension)
    if len(fake) < possible:
        real = choose_real(pack, against, len(fake), seed)
    used = len(real.reference)

    pool = features_of(pack, real.pool, network, progress)

    def of_real(numbers: np.ndarray) -> np.ndarray:
        known = _pick(numbers, real.pool, pool)
        return features_of(pack, numbers, network, progress) if known is None else known

    reference, stand_in, unseen = of_real(real.reference), of_real(real.stand_in), of_real(real.unseen)
    # Groups of the jackknife are consecutive rows; samples may come sorted by class.
    order = shuffled(np.arange(used), seed, "order")
    head = suitable_head(network, reference, pack.labels(real.reference))
    measures = _measure(fake[order], reference, stand_in, network, head, progress)
    detail = {
        "features": network.name,
        "features_hash": network.hash,
        "resizer": network.resizer,
        "n": used,
        "data": str(pack.id),
        "split": against,
        "reference": digest_indices(real.reference),
        "size": [height, width],
        "channels": channels,
        "neighbours": NEIGHBOURS,
    }
    numbers = np.arange(used) if opened.numbers is None else opened.numbers
    usual = float(np.median(nearest_rows(unseen[:_USUAL], pool)[1])) if len(unseen) else float("nan")
    nearest = nearest_training(
        pack, pictures, numbers[: len(pictures)], fake[: len(pictures)], real.pool, pool, usual, seed, progress
    )
    diagnosis = _diagnose(pack, seen, real, fake, reference, unseen, pool, measures, seed)
    by_class = None if classes is None else evaluate_classes(*classes, pack, network, against, progress)
    return Result(protocol_id(detail), detail, used, measures, head, nearest, notes, diagnosis, by_class)


def _diagnose(
    pack: Pack,
    seen: Looks,
    real: Real,
    fake: np.ndarray,
    reference: np.ndarray,
    unseen: np.ndarray,
    pool: np.ndarray,
    measures: dict[str, Measure],
    seed: int,
) -> Diagnosis:
    """What is wrong with the samples; held-out pictures, where there are any, say what is usual."""
    usual, features = (real.unseen, unseen) if len(unseen) >= FEWEST else (real.reference, reference)
    known, others = (
        Looks(len(numbers), pack.shape[1] * pack.shape[2]).of(read_blocks(pack, numbers))
        for numbers in (usual, real.stand_in)
    )
    near, apart = nearest_rows(fake, pool)
    # Real pictures that are in the pool themselves would be their own neighbours.
    place = {int(number): row for row, number in enumerate(real.pool)}
    own = np.array([place.get(int(number), -1) for number in usual])
    skip = None if (own < 0).any() else own
    usual_near, usual_apart = nearest_rows(features, pool, skip)
    different, twins, usual_twins = repetition(seen.prints, fake, features)
    training = Training(pack)
    copies = copied(training, seen.prints, near, apart, pool)
    usual_copies = 0.0 if skip is not None else copied(training, known.prints, usual_near, usual_apart, pool)
    near_copies, usual_near_copies = siblings(training, seen.coarse), siblings(training, known.coarse, usual)
    some = np.arange(min(_KNOWN, len(pool)))
    others_near = nearest_rows(pool[some], pool, skip=some)[0]
    neighbours = Neighbours(real.pool[near], real.pool[usual_near], real.pool[some], real.pool[others_near])
    kinds = kinds_of(pack, neighbours, (fake, features, pool), seed)
    facts = Twins(different, twins, usual_twins, copies, usual_copies, near_copies, usual_near_copies)
    return diagnose(seen, known, others, kinds, facts, measures)


def _extract(
    blocks: Any, network: Features, n: int, seen: Looks, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) of all samples, and the first few pictures themselves."""
    parts: list[np.ndarray] = []
    kept: list[np.ndarray] = []
    for block in blocks:
        parts.append(network.extract(block))
        seen.add(block)
        if sum(len(k) for k in kept) < _SHOWN:
            kept.append(block[:_SHOWN].copy())
        if progress is not None:
            progress("features of samples", min(1.0, sum(len(p) for p in parts) / n))
    if not parts:
        return np.empty((0, network.dimension), np.float32), np.empty((0, 1, 1, 1), np.uint8)
    return np.concatenate(parts), np.concatenate(kept)[:_SHOWN]


def _pick(numbers: np.ndarray, pool: np.ndarray, pool_features: np.ndarray) -> np.ndarray | None:
    """Rows of `pool_features` for pictures `numbers`; None where one of them is not in the pool."""
    place = {int(number): row for row, number in enumerate(pool)}
    rows = [place.get(int(number), -1) for number in numbers]
    return None if -1 in rows else pool_features[rows]


def _measure(
    fake: np.ndarray,
    reference: np.ndarray,
    stand_in: np.ndarray,
    network: Features,
    head: str | None,
    progress: Progress | None,
) -> dict[str, Measure]:
    """Every measure of `fake` against `reference` (n, D), with the floor that `stand_in` gives; `head` is for `is`."""

    def say(share: float) -> None:
        if progress is not None:
            progress("measures", share)

    say(0)
    moments, kernel, balls = Moments(reference), Kernel(reference), Balls(reference, NEIGHBOURS)
    found: dict[str, Measure] = {
        "fd": Measure.of(frechet_distance(fake, moments), frechet_distance(stand_in, moments)),
        "kid": Measure.of(kernel_distance(fake, kernel), kernel_distance(stand_in, kernel)),
    }
    say(0.3)
    ours = manifold(balls, fake, NEIGHBOURS)
    say(0.7)
    floor = manifold(balls, stand_in, NEIGHBOURS)
    for name in ("precision", "recall", "density", "coverage"):
        found[name] = Measure.of(getattr(ours, name), getattr(floor, name))
    if head is not None:
        found["is"] = Measure.of(
            *(inception_score(network.probabilities(rows, head)) for rows in (fake, stand_in)),
        )
    say(1)
    return found


def suitable_head(network: Features, reference: np.ndarray, labels: np.ndarray | None) -> str | None:
    """The head whose classes are most like the pictures' own labels (mutual information); without labels, the head
    that tells them apart best (highest Inception Score).

    A head can be sure of pictures that are nothing it knows, so labels decide where there are any.
    """
    said = {head: network.probabilities(reference, head) for head in sorted(network.heads)}
    if labels is not None and len(np.unique(labels)) > 1:
        from sklearn.metrics import normalized_mutual_info_score as agreement

        scores = {head: float(agreement(labels, table.argmax(1))) for head, table in said.items()}
    else:
        scores = {head: inception_score(table).value for head, table in said.items()}
    return max(scores, key=lambda head: scores[head], default=None)


def _enough(n: int, what: str, remedy: str) -> None:
    if n < FEWEST:
        raise UserError(f"only {n} {what}, at least {FEWEST} are needed to measure: {remedy}")


def _notes(asked: int, real: int, samples: int, against: str, dimension: int) -> tuple[str, ...]:
    notes = []
    used = min(real, samples)
    if samples < min(asked, real):
        notes.append(f"n is {used:,}, not {asked:,}: there are {samples:,} samples")
    elif used < asked:
        notes.append(f"n is {used:,}, not {asked:,}: the data has no more pictures for both sides (against: {against})")
    if used < 2 * dimension:
        notes.append(
            f"with {used:,} pictures the Fréchet distance is mostly bias: trust KID, and compare only at the same n"
        )
    return tuple(notes)
