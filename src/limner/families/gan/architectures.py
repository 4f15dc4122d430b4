"""The one table from an architecture's name in a config to its networks."""

from __future__ import annotations

from importlib import import_module

from limner.families.gan.config import Architecture

TABLE = {
    "transposed": "limner.families.gan.dcgan:NETWORKS",
    "dense": "limner.families.gan.dcgan:NETWORKS",
    "resnet": "limner.families.gan.resnet:NETWORKS",
    "mlp": "limner.families.gan.mlp:NETWORKS",
    "r3gan": "limner.families.gan.r3gan:NETWORKS",
    "sagan": "limner.families.gan.sagan:NETWORKS",
    "biggan": "limner.families.gan.biggan:NETWORKS",
    "progan": "limner.families.gan.progan:NETWORKS",
    "stylegan": "limner.families.gan.stylegan:NETWORKS",
    "stylegan2": "limner.families.gan.stylegan2:NETWORKS",
    "fastgan": "limner.families.gan.fastgan:NETWORKS",
}


def architecture(name: str) -> Architecture:
    """The networks of that name."""
    module, _, attribute = TABLE[name].partition(":")
    found: Architecture = getattr(import_module(module), attribute)
    return found
