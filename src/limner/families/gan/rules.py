"""Which choices make no sense together, each refused in a line that says why."""

from __future__ import annotations

import msgspec

from limner.api import Spec
from limner.errors import UserError
from limner.families.gan.architectures import architecture
from limner.families.gan.config import GANConfig
from limner.losses import adversarial

PARTICULAR = ("code", "widest", "depth", "upsample", "kernel", "dropout", "patch", "group_width")
"""Options that have a meaning in some architectures alone."""


def check(config: GANConfig, spec: Spec) -> None:
    """Raise `UserError` for the first thing that makes no sense."""
    _networks(config, spec)
    _labels(config, spec)
    _loss(config)
    _penalties(config)


def _changed(config: GANConfig) -> set[str]:
    """Names of options that are not at their default."""
    fields = msgspec.structs.fields(GANConfig)
    return {field.name for field in fields if getattr(config, field.name) != field.default}


def _networks(config: GANConfig, spec: Spec) -> None:
    name, networks = config.architecture, architecture(config.architecture)
    if min(spec.height, spec.width) < networks.smallest:
        least = networks.smallest
        raise UserError(f"architecture={name} paints {least} pixels and more, not {spec}: choose a larger --size")
    for option in PARTICULAR:
        if option in _changed(config) and option not in networks.heeds:
            heeded = ", ".join(("width", "latent", *networks.heeds))
            value = getattr(config, option)
            raise UserError(f"{option}={value} has no meaning under architecture={name}: use {heeded}")
    for option in ("generator_norm", "discriminator_norm"):
        norm = getattr(config, option)
        if norm is not None and norm not in networks.norms:
            able = ", ".join(networks.norms)
            raise UserError(f"{option}={norm} does not fit architecture={name}: use one of {able}")


def _labels(config: GANConfig, spec: Spec) -> None:
    if config.conditioning != "none" and not spec.attributes:
        raise UserError(f"conditioning={config.conditioning} needs labelled pictures, and these have no labels")
    able = architecture(config.architecture).conditionings
    if config.conditioning not in able:
        raise UserError(
            f"conditioning={config.conditioning} does not fit architecture={config.architecture}: "
            f"use one of {', '.join(able)}"
        )
    if config.conditioning == "none" and "embedding" in _changed(config):
        raise UserError(f"embedding={config.embedding} has no meaning under conditioning=none: labels are not used")


def _loss(config: GANConfig) -> None:
    if config.smoothing and not adversarial.LOSSES[config.loss].smooths:
        able = ", ".join(name for name, loss in adversarial.LOSSES.items() if loss.smooths)
        raise UserError(f"smoothing={config.smoothing} has no meaning under loss={config.loss}: use one of {able}")
    if adversarial.LOSSES[config.loss].unbounded and not config.penalised:
        raise UserError(
            f"loss={config.loss} grows without end where nothing bounds the critic's slope: add gp=10, or r1=1 and r2=1"
        )


def _penalties(config: GANConfig) -> None:
    centre = 1.0 if config.gp_centre is None else config.gp_centre
    if config.gp_centre is not None and not config.gp:
        raise UserError(f"gp_centre={config.gp_centre:g} has no meaning without the penalty it belongs to: add gp=10")
    if config.penalty_every > 1 and not config.penalised:
        raise UserError(f"penalty_every={config.penalty_every} has no meaning without a penalty: add gp, r1 or r2")
    other = next((name for name in ("r1", "r2") if getattr(config, name)), None)
    if config.gp and centre and other:
        raise UserError(
            f"gp={config.gp:g} draws the critic's slope to {centre:g} and {other}={getattr(config, other):g} to 0: "
            f"leave one out, or set gp_centre=0"
        )
    if config.penalised and config.discriminator_norm == "batch":
        raise UserError(
            "discriminator_norm=batch mixes the pictures of a batch, and gp, r1 and r2 ask for the slope at each of "
            "them: use layer"
        )
