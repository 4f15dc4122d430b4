"""How generators and discriminators are told labels, whatever their architecture."""

from __future__ import annotations

import torch
from torch import Tensor

from limner.api import Spec
from limner.families.gan.config import GANConfig
from limner.nn.embed import LabelEmbedding


def values(spec: Spec) -> list[int]:
    """How many values each attribute has; 0 for a number."""
    return [len(attribute.values) for attribute in spec.attributes]


def painter_table(config: GANConfig, spec: Spec) -> LabelEmbedding | None:
    """G's embedding of labels, for `joined`; none where there are no labels, or its norms are told them."""
    if not spec.attributes or config.conditioning == "normalisation":
        return None
    return LabelEmbedding(values(spec), config.embedding)


def norm_table(config: GANConfig, spec: Spec) -> LabelEmbedding | None:
    """G's embedding of labels that its norms are told; none unless conditioning is by normalisation."""
    return LabelEmbedding(values(spec), config.embedding) if config.conditioning == "normalisation" else None


def joined(code: Tensor, labels: Tensor | None, table: LabelEmbedding | None) -> Tensor:
    """A code (B, Z) and its label, (B, Z + E)."""
    if table is None:
        return code
    told = table(labels, len(code))  # (B, E)
    # At unit length: as long as the latent itself, the label wins, and a class becomes a single picture.
    return torch.cat([code, told / told.shape[1] ** 0.5], 1)


def planes_table(config: GANConfig, spec: Spec) -> LabelEmbedding | None:
    """D's embedding of labels that it sees beside its first features (Mirza & Osindero 2014)."""
    return LabelEmbedding(values(spec), config.embedding) if config.conditioning == "concatenate" else None


def with_planes(x: Tensor, labels: Tensor | None, table: LabelEmbedding | None) -> Tensor:
    """Features (B, C, H, W) or (B, C) with the label as constant planes, (B, C + E, ...)."""
    if table is None:
        return x
    told = table(labels, len(x))
    told = told.view(*told.shape, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:])
    return torch.cat([x, told.to(x)], 1)


def projection_table(config: GANConfig, spec: Spec, features: int) -> LabelEmbedding | None:
    """D's embedding of labels for `projected`."""
    projects = config.conditioning in ("projection", "normalisation", "style")
    return LabelEmbedding(values(spec), features) if projects else None


def forget(table: LabelEmbedding | None) -> None:
    """Start a projection at nothing: D first learns what a picture is."""
    if table is not None:
        table.forget()


def projected(logit: Tensor, features: Tensor, labels: Tensor | None, table: LabelEmbedding | None) -> Tensor:
    """Logits (B,) plus the inner product of features (B, F) and the label's embedding (Miyato & Koyama 2018, eq. 3)."""
    return logit if table is None else logit + (table(labels, len(features)) * features).sum(1)
