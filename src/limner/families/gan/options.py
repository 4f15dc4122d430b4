"""Options of the game beside its networks and its loss: what holds the networks, what keeps the game steady."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from limner.config import Fraction, Options, Positive, Size
from limner.nn.augment import Change

Minibatch = Literal["none", "discrimination", "deviation"]


class Regularisers(Options):
    """What the networks are held to, beside the slopes that `gp`, `r1` and `r2` ask for.

    Attributes:
        clip_weights: the discriminator's weights are cut to +-clip_weights after each of its steps (Arjovsky et al.
            2017, algorithm 1; there 0.01).
        spectral: each of the discriminator's weights is divided by its largest singular value (Miyato et al. 2018).
            generator_spectral: the same for the generator (Zhang et al. 2019, section 4.1).
        orthogonal: weight of |W W' * (1 - I)|^2 over the generator's weights (Brock et al. 2019, eq. 3; there 1e-4).
        consistency: weight of (D(x) - D(T x))^2 at real pictures, T being the `consistency_changes` (Zhang et al. 2020,
            eq. 3; there 10). balanced: the same at painted ones (Zhao et al. 2021, "bCR").
        path_length: weight of (|J' y| - a)^2, J the generator's Jacobian, y noise and a the usual length (Karras et al.
            2020, eq. 4; there 2), at each `path_every`-th step and as many times as heavy.
    """

    clip_weights: Size = 0.0
    spectral: bool = False
    generator_spectral: bool = False
    orthogonal: Size = 0.0
    consistency: Size = 0.0
    balanced: Size = 0.0
    consistency_changes: tuple[Change, ...] = ("translation",)
    path_length: Size = 0.0
    path_every: Positive = 4


class Stabilisers(Options):
    """What keeps the game steady.

    Attributes:
        discriminator_weight, generator_weight: of either player's part of the game, against what is asked beside it.
        auxiliary_weight: of the classifier's loss, where `conditioning` is "auxiliary".
        flips: share of pictures whose label, real or painted, is told the discriminator wrongly.
        minibatch: what the discriminator sees of a picture's neighbours: "discrimination" (Salimans et al. 2016,
            section 3.2) or the "deviation" of its features (Karras et al. 2018, section 3). Where it is not given, the
            architecture's own.
        minibatch_group: how many pictures look at each other; a process's batch must be a multiple of it.
        feature_matching: weight of |E f(x) - E f(G(z))|^2, f being the discriminator's features (Salimans et al. 2016,
            section 3.1).
        historical: weight of the squared distance of both networks' weights from their own average over the training so
            far (Salimans et al. 2016, section 3.3).
        modes, modes_realism: an encoder E learns with the generator, which is asked for modes E (x - G(E(x)))^2 and, as
            `modes_realism` times its own loss, that G(E(x)) be taken for real (Che et al. 2017, section 3.1; there 0.2
            and 0.4).
        reuse_logits: the generator learns from what the discriminator said in its own turn, before it learnt: both then
            move at once, and a pass through the discriminator is saved.
        augmentation_probability: with which each of the changes of `augmentation` is made.
        adaptive: where not 0, that probability starts at 0 and is driven so that the discriminator is right about real
            pictures this much more often than wrong (Karras et al. 2020, 2006.06676, section 3; there 0.6).
        adaptive_pictures: how many pictures it takes from 0 to 1 (there 500,000, of 25 million).
    """

    discriminator_weight: Size = 1.0
    generator_weight: Size = 1.0
    auxiliary_weight: Size = 1.0
    flips: Annotated[float, Meta(ge=0, lt=0.5)] = 0.0
    minibatch: Minibatch | None = None
    minibatch_group: Annotated[int, Meta(ge=2)] = 4
    feature_matching: Size = 0.0
    historical: Size = 0.0
    modes: Size = 0.0
    modes_realism: Size = 0.0
    reuse_logits: bool = False
    augmentation_probability: Fraction = 1.0
    adaptive: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    adaptive_pictures: Positive = 50_000
