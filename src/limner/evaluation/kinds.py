"""Which classes or kinds of pictures occur, how often; and what repeats itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import chi2

from limner.draws import seed_of
from limner.evaluation.intervals import Floats
from limner.evaluation.neighbours import nearest_others

if TYPE_CHECKING:
    from limner.data import Pack

_CLUSTERS = 10
_TWIN = 0.1
"""Two pictures are twins where they are nearer than this share of what real neighbours are apart."""
_RARE = 1e-9
_FEWEST, _LIKE = 10, 0.25

Features3 = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Neighbours:
    """Numbers in the pack of the nearest training pictures of samples and of real pictures, (n,) and (m,); and of
    some training pictures themselves, `known`, with the nearest other one of each, `of_known`."""

    samples: np.ndarray
    real: np.ndarray
    known: np.ndarray
    of_known: np.ndarray


@dataclass(frozen=True)
class Kinds:
    """Classes of samples and of real pictures, found in the same way for both.

    Attributes:
        column: of labels, which are those of the nearest training picture; None for clusters of features.
        own: the column is that of the set's classes.
        names: of the classes. samples, real: what each picture is counted as, (n,) and (m,).
        counted: (K, K), row i: as what real pictures of class i are counted, in shares; NaN for rare classes.
    """

    column: str | None
    names: tuple[str, ...]
    samples: np.ndarray
    real: np.ndarray
    counted: Floats
    own: bool = False

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
        what = "kind" if self.column is None else "class"
        only = self.only
        if only is not None:
            said = f"one {what} only: {ours[only]:.0%} are counted as {self._named(only)}, "
            said += f"of real pictures {real[only]:.0%}"
            right = self.counted[only, only]
            return said + (f" (of real ones that are, {right:.0%})" if right < 0.9 else "")
        missing = [int(i) for i in np.argsort(-real) if ours[i] < 0.2 * real[i]]
        if missing and self.column is not None:
            listed = ", ".join(map(self._named, missing[:5])) + (", ..." if len(missing) > 5 else "")
            return f"classes nearly missing: {listed}; {self.distance:.0%} of the pictures are of a wrong class"
        if missing:
            return f"{len(missing)} of {len(self.names)} kinds of pictures are nearly missing"
        most = int((ours - real).argmax())
        return f"out of balance: {ours[most]:.0%} are counted as {self._named(most)}, of real pictures {real[most]:.0%}"

    def _named(self, number: int) -> str:
        name = self.names[number]
        return name if self.column is None else repr(name) if self.own else f"{self.column} {name!r}"

    @property
    def only(self) -> int | None:
        """The class that all samples may be of: they are counted like the real pictures of it. None where none is."""
        ours, _ = self.shares
        apart = np.abs(ours - self.counted).sum(1) / 2
        if np.isnan(apart).all():
            return None
        best = int(np.nanargmin(apart))
        return best if apart[best] < min(_LIKE, self.distance / 2) else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        ours, real = self.shares
        return {"column": self.column, "names": list(self.names), "samples": ours.tolist(), "real": real.tolist()}


def kinds_of(pack: Pack, nearest: Neighbours, features: Features3, seed: int) -> list[Kinds]:
    """The classes of samples and real pictures: of the set's classes, else of each label column, else of clusters.

    Args:
        nearest: see `Neighbours`. features: of samples, real pictures and training pictures.
    """
    own = pack.manifest.class_column
    found = []
    for column in [own] if own else pack.attributes:
        names = tuple(pack.attributes[column])
        if len(names) > 1:
            ours, theirs = _codes(pack, nearest.samples, column), _codes(pack, nearest.real, column)
            counted = _counted(_codes(pack, nearest.known, column), _codes(pack, nearest.of_known, column), len(names))
            found.append(Kinds(column, names, ours, theirs, counted, own=own is not None))
    if found:
        return found
    from sklearn.cluster import KMeans

    fake, real, pool = features
    count = int(np.clip(len(real) // 20, 1, _CLUSTERS))
    model = KMeans(count, n_init=1, random_state=seed_of(seed, "kinds") % 2**32).fit(pool[:3000])
    names = tuple(f"kind {i + 1}" for i in range(count))
    ours, theirs = (model.predict(x).astype(np.int64) for x in (fake, real))
    return [Kinds(None, names, ours, theirs, np.eye(count))]


def _counted(truth: np.ndarray, said: np.ndarray, classes: int) -> Floats:
    """Shares (K, K) of what is said of each true class; NaN for classes with too few pictures."""
    table = np.zeros((classes, classes))
    np.add.at(table, (truth, said), 1)
    total = table.sum(1, keepdims=True)
    return np.where(total >= _FEWEST, table / np.maximum(total, 1), np.nan)


def _codes(pack: Pack, numbers: np.ndarray, column: str) -> np.ndarray:
    """Pictures without a label are counted as the first class, on both sides alike."""
    codes = pack.labels(numbers, column)
    assert codes is not None, "the column is one of the pack's"
    return np.maximum(codes, 0)


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
