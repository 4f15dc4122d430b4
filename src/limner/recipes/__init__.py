"""Every recipe by name, and which one to take where none is named."""

from __future__ import annotations

from importlib import import_module

from limner.api import Recipe, Situation, Spec
from limner.config import Config, to_dict
from limner.config import from_dict as config_from_dict
from limner.errors import unknown
from limner.families import typing

NAMES = (
    "flow",
    "edm",
    "ddpm",
    "dit",
    "gan",
    "dcgan",
    "dcgan-dense",
    "lsgan",
    "cgan",
    "acgan",
    "wgan",
    "wgan-gp",
    "r3gan",
    "sagan",
    "biggan",
    "progan",
    "stylegan",
    "stylegan2",
    "fastgan",
    "vae",
    "mean",
    "gaussian",
    "ppca",
    "gmm",
    "kde",
    "ae",
    "dae",
)
GROUPS = {"baselines": ("mean", "gaussian", "ppca", "gmm", "kde", "ae", "dae")}
"""Names that stand for several recipes."""

DEFAULT = "flow"


def recipe(name: str) -> Recipe:
    """The recipe of that name. Raises `UserError` naming the nearest one."""
    if name not in NAMES:
        raise unknown("model", name, NAMES)
    found: Recipe = import_module(f"limner.recipes.{name.replace('-', '_')}").RECIPE
    return found


def configure(chosen: Recipe, situation: Situation) -> Config:
    """The recipe's complete config for a situation."""
    model, train = chosen.build(situation)
    raw = {
        "recipe": chosen.name,
        "family": chosen.family,
        "spec": to_dict(situation.spec),
        "model": to_dict(model),
        "train": to_dict(train),
    }
    return config_from_dict(raw, typing)


def recommend(spec: Spec, pictures: int) -> tuple[str, str]:
    """(recipe, why) for a set of pictures where the user named none."""
    size = f"{spec.height}x{spec.width}"
    return DEFAULT, f"flow matching gives the best pictures per minute at {size} ({pictures:,} pictures)"
