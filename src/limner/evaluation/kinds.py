"""Which classes or kinds of pictures occur, how often; and what repeats itself or copies training pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import chi2

from limner.draws import seed_of
from limner.evaluation.intervals import Floats
from limner.evaluation.looks import fingerprints
from limner.evaluation.neighbours import nearest_others, nearest_rows
from limner.evaluation.reference import read_blocks

if TYPE_CHECKING:
    from limner.data import Pack

_CLUSTERS = 10
_TWIN = 0.1
"""Two pictures are twins where they are nearer than this share of what real neighbours are apart."""
_COPY = 0.4
"""A sample copies a training picture where it is nearer to it than this share of what its own neighbour is."""
_RARE = 1e-9
_HASHED_BYTES = 1 << 30


@dataclass(frozen=True)
class Kinds:
    """Classes of samples and of real pictures, found in the same way for both.

    Attributes:
        by: "labels" of the nearest training picture, or "kinds": clusters of the training pictures' features.
        names: of the classes. samples, real: the class of each picture, (n,) and (m,).
    """

    by: str
    names: tuple[str, ...]
    samples: np.ndarray
    real: np.ndarray

    @property
    def shares(self) -> tuple[Floats, Floats]:
        """Of each class among the samples and among the real pictures."""
        counts = [np.bincount(x, minlength=len(self.names)) for x in (self.samples, self.real)]
        return counts[0] / counts[0].sum(), counts[1] / counts[1].sum()

    @property
    def distance(self) -> float:
        """Share of pictures that would have to change class (total variation)."""
        ours, real = self.shares
        return float(np.abs(ours - real).sum() / 2)

    def unbalanced(self, different: int) -> bool:
        """The shares differ by more than chance, with so many different samples: a two-sample chi-squared test."""
        ours, real = self.shares
        n, m = min(different, len(self.samples)), len(self.real)
        both = (n * ours + m * real) / (n + m)
        seen = both > 0
        gap = np.square(ours - real)[seen] / (both[seen] * (1 / n + 1 / m))
        return bool(seen.sum() > 1 and chi2.sf(gap.sum(), seen.sum() - 1) < _RARE)

    def weights(self, numbers: np.ndarray) -> Floats:
        """Weights of the real pictures `numbers` that give them the samples' mixture of classes."""
        ours, real = self.shares
        found: Floats = (ours / np.maximum(real, 1e-9))[self.real[numbers]]
        return found if found.sum() > 0 else np.ones(len(numbers))

    def words(self) -> str:
        """The imbalance in a sentence."""
        ours, real = self.shares
        what = "class" if self.by == "labels" else "kind"
        top = int(ours.argmax())
        name = f" {self.names[top]!r}" if self.by == "labels" else ""
        if ours[top] > 0.7 and real[top] < 0.5:
            return f"one {what} only: {ours[top]:.0%} are of {what}{name}, of real pictures {real[top]:.0%}"
        missing = [i for i in np.argsort(-real) if ours[i] < 0.2 * real[i]]
        if missing and self.by == "labels":
            listed = ", ".join(repr(self.names[i]) for i in missing[:5]) + (", ..." if len(missing) > 5 else "")
            return f"classes nearly missing: {listed}; {self.distance:.0%} of the pictures are of a wrong class"
        if missing:
            return f"{len(missing)} of {len(self.names)} kinds of pictures are nearly missing"
        most = int((ours - real).argmax())
        name = f" {self.names[most]!r}" if self.by == "labels" else ""
        return f"{what}es out of balance: {ours[most]:.0%} are of {what}{name}, of real pictures {real[most]:.0%}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        ours, real = self.shares
        return {"by": self.by, "names": list(self.names), "samples": ours.tolist(), "real": real.tolist()}


def kinds_of(
    pack: Pack,
    nearest: np.ndarray,
    real_nearest: np.ndarray,
    fake: np.ndarray,
    real: np.ndarray,
    pool: np.ndarray,
    seed: int,
) -> Kinds:
    """The classes of samples and real pictures.

    Args:
        nearest, real_nearest: numbers in the pack of each sample's and each real picture's nearest training picture.
        fake, real, pool: features of samples, real pictures and training pictures.
    """
    labels = [pack.labels(numbers) for numbers in (nearest, real_nearest)]
    if labels[0] is not None and labels[1] is not None and len(pack.classes) > 1:
        return Kinds("labels", pack.classes, *(np.maximum(x, 0) for x in labels if x is not None))
    from sklearn.cluster import KMeans

    count = int(np.clip(len(real) // 20, 1, _CLUSTERS))
    model = KMeans(count, n_init=1, random_state=seed_of(seed, "kinds") % 2**32).fit(pool[:3000])
    names = tuple(f"kind {i + 1}" for i in range(count))
    return Kinds("kinds", names, model.predict(fake).astype(np.int64), model.predict(real).astype(np.int64))


def repetition(prints: list[bytes], features: np.ndarray, real: np.ndarray) -> tuple[int, float, float]:
    """(different samples, share of samples with a twin, the same share of real pictures) of features (n, D), (m, D)."""
    real_apart = nearest_others(real)[1]
    reach = _TWIN * float(np.median(real_apart))
    at, apart = nearest_others(features)
    first = {one: i for i, one in reversed(list(enumerate(prints)))}
    equal = np.array([first[one] for one in prints])
    rows = np.arange(len(prints))
    twin = apart <= reach
    links = np.concatenate([np.stack([rows, equal]), np.stack([rows[twin], at[twin]])], axis=1)
    graph = coo_array((np.ones(links.shape[1]), (links[0], links[1])), shape=(len(prints), len(prints)))
    different = int(connected_components(graph, directed=False)[0])
    return different, float(twin.mean()), float((real_apart <= reach).mean())


def copied(pack: Pack, prints: list[bytes], near: np.ndarray, apart: np.ndarray, pool: np.ndarray) -> float:
    """Share of pictures that are training pictures to the bit, or nearer to one than that one is to any other.

    Args:
        prints: fingerprints. near, apart: row in `pool` and distance of each picture's nearest training picture.
        pool: features (m, D) of training pictures.
    """
    known = _training_prints(pack)
    used, place = np.unique(near, return_inverse=True)
    own = nearest_rows(pool[used], pool, skip=used)[1]
    close = apart < _COPY * own[place]
    equal = np.array([one in known for one in prints])
    return float((close | equal).mean())


def _training_prints(pack: Pack) -> set[bytes]:
    most = max(1, _HASHED_BYTES // max(1, int(np.prod(pack.shape))))
    return {one for block in read_blocks(pack, pack.train[:most]) for one in fingerprints(block)}
