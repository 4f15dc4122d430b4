"""The one table from a family's name in a saved config to its class."""

from __future__ import annotations

from importlib import import_module

import torch

from limner import own
from limner.api import Conditions, Generator, Spec
from limner.config import Config
from limner.draws import seed_of
from limner.errors import UserError, unknown

TABLE = {
    "flow_matching": "limner.families.diffusion.flow_matching:FlowMatching",
    "ddpm": "limner.families.diffusion.ddpm:DDPM",
    "edm": "limner.families.diffusion.edm:EDM",
    "gan": "limner.families.gan.game:GAN",
    "dcgan": "limner.families.gan.game:GAN",  # what it was called when it had one architecture; runs are still about
    "stylegan": "limner.families.gan.styled:StyleGAN",
    "sagan": "limner.families.gan.attending:AttentiveGAN",
    "vae": "limner.families.vae.vae:VAE",
    "autoencoder": "limner.families.vae.autoencoder:Autoencoder",
    "mean": "limner.families.baselines.mean:Mean",
    "gaussian": "limner.families.baselines.gaussian:Gaussian",
    "ppca": "limner.families.baselines.ppca:PPCA",
    "gmm": "limner.families.baselines.gmm:GMM",
    "kde": "limner.families.baselines.kde:KDE",
}


def family(name: str) -> type[Generator]:
    """The class of a family; that of a person's own file where the name says so."""
    if own.is_own(name):
        kind: type[Generator] = own.named(name)
        return kind
    if name not in TABLE:
        raise unknown("family", name, TABLE)
    module, _, attribute = TABLE[name].partition(":")
    found: type[Generator] = getattr(import_module(module), attribute)
    return found


def typing(name: str) -> tuple[type, type]:
    """(spec type, model config type) of a family, for `limner.config`."""
    return Spec, family(name).Config


def checked(config: Config) -> type[Generator]:
    """The class of a config's family, once it is known to do this config, these labels and this picture size.

    Raises:
        UserError: it cannot.
    """
    kind = family(config.family)
    number = next((attribute.name for attribute in config.spec.attributes if attribute.range is not None), None)
    if number is not None and issubclass(kind, Conditions) and not kind.numbers:
        raise UserError(
            f"{config.recipe} knows classes alone, and {number} is a number: choose other --labels, or --labels none"
        )
    kind.check(config.model, config.spec)
    return kind


def build(config: Config, device: torch.device | str = "cpu") -> Generator:
    """A generator with fresh weights, the same for the same seed on every machine.

    Raises:
        UserError: the family cannot do this config or this picture size.
    """
    kind = checked(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(config.train.seed, "weights"))
        model = kind(config.model, config.spec)  # concrete classes take (config, spec)
    return model.to(device)
