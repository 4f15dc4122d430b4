"""What is trained: settings under which the game comes to rest, ways to spoil it, and what cures that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from limner.api import Generator, Spec
from limner.config import Config, Training, override
from limner.errors import UserError, unknown
from limner.losses import adversarial
from limner.studies.toy.denoising import KINDS, DenoisingConfig
from limner.studies.toy.game import Game, GameConfig
from limner.studies.toy.points import Target

FAMILY = "toy"
BATCH = {"gan": 256, "flow": 1024, "ddpm": 1024, "edm": 1024}
MODELS: dict[str, type[Generator]] = {"gan": Game, **KINDS}
AVERAGE = 0.05

SHOWS: dict[str, tuple[str, dict[str, Any]]] = {
    "collapse": (
        "mode collapse: a plain game, D fast and held to nothing",
        {
            "loss": "non-saturating",
            "r1": 0.0,
            "noise": 0.0,
            "average": 0.0,
            "generator.rate": 1e-3,
            "generator.decay": 0.0,
            "discriminator.decay": 0.0,
        },
    ),
    "vanishing": (
        # Adam divides a gradient by its own size, which hides that it is small.
        "vanishing gradients: D has three turns for each of G, which follows the gradient as it is (no Adam)",
        {
            "loss": "minimax",
            "r1": 0.0,
            "noise": 0.0,
            "average": 0.0,
            "turns": 3,
            "generator.name": "momentum",
            "generator.rate": 1e-3,
        },
    ),
}

REMEDIES: dict[str, dict[str, Any]] = {
    "non-saturating": {"loss": "non-saturating"},
    "least-squares": {"loss": "least-squares"},
    "hinge": {"loss": "hinge"},
    "relativistic": {"loss": "relativistic"},
    "wasserstein+gp": {"loss": "wasserstein", "gp": 1.0, "turns": 5},
    "gp": {"gp": 0.02, "gp_centre": 0.0},
    "r1": {"r1": 0.02},
    "r1+r2": {"r1": 0.02, "r2": 0.02},
    "relativistic+r1+r2": {"loss": "relativistic", "r1": 0.02, "r2": 0.02},
    "noise": {"noise": 0.8},
    "smoothing": {"smoothing": 0.1},
    "dropout": {"dropout": 0.3},
    "deviation": {"minibatch": "deviation"},
    "discrimination": {"minibatch": "discrimination"},
    "average": {"average": AVERAGE},
    "turns": {"turns": 5},
    "fewer-turns": {"turns": 1},
    "adam": {"generator.name": "adam", "generator.rate": 1e-3},
    "one-rate": {"discriminator.rate": 1e-3, "generator.rate": 1e-3},
    "decay": {"discriminator.decay": 0.5, "generator.decay": 0.5},
}


def configured(
    target: Target,
    model: str,
    loss: str | None,
    steps: int,
    seed: int,
    show: str | None = None,
    remedy: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Config:
    """A complete config; later arguments override earlier ones.

    Raises:
        UserError: an unknown name, or what does not go together.
    """
    if model not in MODELS:
        raise unknown("model", model, MODELS)
    for given, word in ((loss, "loss"), (show, "show"), (remedy, "remedy")):
        if given is not None and model != "gan":
            raise UserError(f"--{word} {given} is of the game of two networks: take --model gan, or leave it out")
    tables = (("loss", loss, get_args(adversarial.Name)), ("show", show, SHOWS), ("remedy", remedy, REMEDIES))
    for word, asked, known in tables:
        if asked is not None and asked not in known:
            raise unknown(word, asked, known)
    config = _plain(target, model, steps, seed)
    changes = dict(SHOWS[show][1]) if show else {}
    changes |= {"loss": loss} if loss else {}
    kind = MODELS[model]

    def changed(config: Config, changes: Mapping[str, Any]) -> Config:
        return override(config, changes, lambda family: (Spec, kind.Config))

    config = changed(config, changes)
    if remedy:
        cured = changed(config, REMEDIES[remedy])
        if cured == config:
            raise UserError(f"--remedy {remedy} changes nothing here, it is so already: take another one")
        config = cured
    config = changed(config, settings or {})
    kind.check(config.model, config.spec)
    return config


def remedies(target: Target, show: str) -> list[str]:
    """Those that change what is shown."""
    found = []
    for name in REMEDIES:
        try:
            configured(target, "gan", None, 1, 0, show, name)
        except UserError:
            continue
        found.append(name)
    return found


def _plain(target: Target, model: str, steps: int, seed: int) -> Config:
    """float32 on one thread, which is the fastest for networks of this size."""
    train = Training(
        seed=seed,
        batch=BATCH[model],
        steps=steps,
        precision="float32",
        layout="contiguous",
        compile="off",
        device="cpu",
        threads=1,
        average=AVERAGE,
        retries=0,
    )
    # D's slope at rest has to go down from 1 / sigma: what it costs has to be of that size at every scale.
    settled = GameConfig(latent=target.dimensions, r1=2 * target.sigma**2, noise=0.4 * (target.dimensions - 1))
    own = settled if model == "gan" else DenoisingConfig()
    spec = Spec(channels=target.dimensions, height=1, width=1)
    return Config(recipe=model, family=FAMILY, spec=spec, model=own, train=train)
