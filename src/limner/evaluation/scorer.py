"""A quick score for use while a generator is being trained: the real side is prepared once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from limner.errors import UserError
from limner.evaluation.distances import Moments, frechet_value, kernel_distance
from limner.evaluation.features import Features, load
from limner.evaluation.protocol import digest_indices, protocol_id
from limner.evaluation.reference import features_of, read_blocks, shuffled

if TYPE_CHECKING:
    from limner.data import Pack


class Scorer:
    """Scores pictures against a fixed draw of real ones.

    Args:
        pack: the packed set.
        indices: the part of it to draw real pictures from, as a rule `pack.validation`, which reports do not use.
        n: real pictures to draw; fewer where the part has fewer.
        features: a feature network, by name or loaded.
        seed: of the draw.
    """

    def __init__(
        self, pack: Pack, indices: np.ndarray, n: int = 1000, features: str | Path | Features = "default", seed: int = 0
    ) -> None:
        if len(indices) < 2:
            raise UserError(f"a score needs at least 2 real pictures to compare with, got {len(indices)}")
        self.pack, self.features, self.seed = pack, load(features), seed
        self.indices = shuffled(indices, seed, "score")[:n]
        self.real = features_of(pack, self.indices, self.features)
        self._moments = Moments(self.real)
        self._moments.root  # noqa: B018 - the costly half of the Fréchet distance, taken once

    @property
    def n(self) -> int:
        """Real pictures that are compared with."""
        return len(self.indices)

    @property
    def protocol(self) -> str:
        """The id of what scores are measured with, but for the number of pictures scored."""
        detail = {"features": self.features.name, "hash": self.features.hash, "resizer": self.features.resizer}
        return protocol_id({**detail, "split": "score", "n": self.n, "reference": digest_indices(self.indices)})

    def score(self, pictures: np.ndarray | Iterable[np.ndarray]) -> dict[str, float]:
        """`kid` and `fd` of uint8 pictures (N, H, W, C), N at least 2, one array or blocks of them; lower is better.

        KID is unbiased, so it may be compared between different N; the Fréchet distance may not.
        """
        fake = self.features.extract(pictures)
        if len(fake) < 2:
            raise UserError(f"a score needs at least 2 pictures, got {len(fake)}")
        return {
            "kid": kernel_distance(fake, self.real).value,
            "fd": frechet_value(self._moments, Moments(fake)),
        }

    def floor(self, n: int) -> dict[str, float]:
        """The score of `n` real training pictures: what a perfect generator would get."""
        return self.score(read_blocks(self.pack, shuffled(self.pack.train, self.seed, "floor")[:n]))
