"""Which choices make no sense together, each refused in a line that says why."""

from __future__ import annotations

from typing import Any

import msgspec

from limner.api import Spec
from limner.errors import UserError
from limner.families.gan.architectures import architecture
from limner.families.gan.config import Family, GANConfig
from limner.losses import adversarial
from limner.nn.augment import ERASING

PARTICULAR = (
    "code",
    "widest",
    "depth",
    "doubling",
    "upsample",
    "downsample",
    "kernel",
    "patch",
    "coarsest",
    "group_width",
)
"""Options that have a meaning in some architectures alone."""


STARTS: dict[Family, str] = {"gan": "dcgan", "stylegan": "stylegan2", "sagan": "sagan"}
"""A recipe of each family, to begin with."""


def check(config: GANConfig, spec: Spec, family: Family = "gan") -> None:
    """Raise `UserError` for the first thing that makes no sense in a family."""
    own = architecture(config.architecture).families
    if family not in own:
        raise UserError(
            f"architecture={config.architecture} is not one of {STARTS[family]}'s family: "
            f"start from --model {STARTS[own[0]]} and set what else is wanted there"
        )
    _networks(config, spec)
    _labels(config, spec)
    _loss(config)
    _penalties(config)
    _regularisers(config)
    _stabilisers(config)
    _augmentation(config)


def _changed(config: GANConfig, group: str | None = None) -> set[str]:
    """Names of options, all or those of a group, that are not at their default."""
    held = config if group is None else getattr(config, group)
    fields = msgspec.structs.fields(type(held))
    return {field.name for field in fields if getattr(held, field.name) != field.default}


def _networks(config: GANConfig, spec: Spec) -> None:
    name, networks = config.architecture, architecture(config.architecture)
    patch = config.patch or 1
    if min(spec.height, spec.width) < (least := patch * networks.smallest):
        squares = f" in squares of patch={patch}" if patch > 1 else ""
        raise UserError(
            f"architecture={name} paints {least} pixels and more{squares}, not {spec}: choose a larger --size"
            + (" or patch=1" if squares else "")
        )
    for option in PARTICULAR:
        if option in _changed(config) and option not in networks.heeds:
            heeded = ", ".join(("width", "latent", *networks.heeds))
            value = getattr(config, option)
            raise UserError(f"{option}={value} has no meaning under architecture={name}: use {heeded}")
    judging = networks.norms if networks.critic_norms is None else networks.critic_norms
    for option, norms in (("generator_norm", networks.norms), ("discriminator_norm", judging)):
        norm = getattr(config, option)
        if norm is not None and norm not in norms:
            able = f"use one of {', '.join(norms)}" if norms else "leave it out, that network has none"
            raise UserError(f"{option}={norm} does not fit architecture={name}: {able}")


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
    bounded = config.penalised or config.regularisers.clip_weights or config.regularisers.spectral
    if adversarial.LOSSES[config.loss].unbounded and not bounded:
        raise UserError(
            f"loss={config.loss} grows without end where nothing bounds the critic's slope: add gp=10, or r1=1 and "
            f"r2=1, or clip_weights=0.01, or spectral=true"
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


def _regularisers(config: GANConfig) -> None:
    held = config.regularisers
    if architecture(config.architecture).scaled and (held.spectral or held.generator_spectral):
        option = "spectral" if held.spectral else "generator_spectral"
        raise UserError(
            f"{option}=true divides weights by their largest singular value, and the layers of "
            f"architecture={config.architecture} scale theirs at each pass: leave it out"
        )
    if held.path_length and config.code == "encoded":
        raise UserError("path_length asks how far pictures move with few numbers: leave it out with code=encoded")
    if held.spectral and config.discriminator_norm not in (None, "none"):
        raise UserError(
            f"spectral=true divides the discriminator's weights, and discriminator_norm={config.discriminator_norm} "
            f"multiplies what comes out again: leave one out"
        )
    if held.spectral and held.clip_weights:
        raise UserError(
            f"clip_weights={held.clip_weights:g} changes nothing under spectral=true, which divides by the weights' "
            f"size: leave one out"
        )
    if "path_every" in _changed(config, "regularisers") and not held.path_length:
        raise UserError(f"path_every={held.path_every} has no meaning without its penalty: add path_length=2")
    if "consistency_changes" in _changed(config, "regularisers") and not (held.consistency or held.balanced):
        raise UserError("consistency_changes has no meaning without its penalty: add consistency=10")
    if (held.consistency or held.balanced) and not held.consistency_changes:
        raise UserError("consistency has nothing to be consistent under: name consistency_changes, such as translation")


def _stabilisers(config: GANConfig) -> None:
    steady, changed = config.stabilisers, _changed(config, "stabilisers")
    if not steady.discriminator_weight:
        raise UserError("discriminator_weight=0 leaves the discriminator nothing to learn: choose more than 0")
    if not steady.generator_weight and not steady.feature_matching:
        raise UserError("generator_weight=0 leaves the generator nothing to learn: add feature_matching=1")
    if "auxiliary_weight" in changed and config.conditioning != "auxiliary":
        raise UserError(
            f"auxiliary_weight={steady.auxiliary_weight:g} has no meaning under conditioning={config.conditioning}: "
            f"set conditioning=auxiliary"
        )
    judging: Any = architecture(config.architecture).critic
    if "minibatch_group" in changed and (steady.minibatch or judging.minibatch) == "none":
        raise UserError(
            f"minibatch_group={steady.minibatch_group} has no meaning under minibatch=none: add minibatch=deviation"
        )
    if steady.modes_realism and not steady.modes:
        raise UserError(f"modes_realism={steady.modes_realism:g} has no meaning without an encoder: add modes=0.2")
    if steady.modes and config.code == "encoded":
        raise UserError("modes and code=encoded are two encoders for one latent: leave one out")
    if steady.modes and architecture(config.architecture).sizes:
        raise UserError(f"modes has an encoder of one size, and architecture={config.architecture} grows: leave it out")


def _augmentation(config: GANConfig) -> None:
    steady, loss = config.stabilisers, adversarial.LOSSES[config.loss]
    sparing = steady.adaptive or steady.augmentation_probability < 1
    if sparing and not config.augmentation:
        option = "adaptive" if steady.adaptive else "augmentation_probability"
        raise UserError(f"{option} has no meaning without changes to make: name some, such as augmentation=translation")
    if steady.adaptive and steady.augmentation_probability < 1:
        raise UserError("adaptive finds the probability by itself: leave augmentation_probability out")
    if steady.adaptive and loss.middle is None:
        raise UserError(
            f"adaptive heeds how often the discriminator is right about real pictures, and under loss={config.loss} "
            f"one logit alone says nothing: take another loss, or a fixed augmentation_probability"
        )
    if "adaptive_pictures" in _changed(config, "stabilisers") and not steady.adaptive:
        raise UserError(f"adaptive_pictures={steady.adaptive_pictures} has no meaning without adaptive=0.6")
    erased = [name for name in config.augmentation if name in ERASING]
    if erased and not sparing:
        raise UserError(
            f"augmentation={erased[0]} of every picture hides which way is right, and the generator would paint any: "
            f"set augmentation_probability=0.7, or adaptive=0.6"
        )
