"""What either network is held to, beside the game: terms that are added to its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from limner.api import Batch
from limner.draws import Draws
from limner.families.gan.config import GANConfig, Painter
from limner.losses import penalties
from limner.nn.augment import augment
from limner.processes import current

Judge = Callable[[Tensor], Tensor]
"""Pictures (B, C, H, W) to logits (B,)."""

DECAY = 0.01
"""Share of the newest path lengths in the usual one (Karras et al. 2020, appendix B)."""


def slopes(
    config: GANConfig, judge: Judge, real: Tensor, painted: Tensor, batch: Batch, times: int
) -> dict[str, Tensor]:
    """What the config asks of D's slope at pictures (B, C, H, W) as D is shown them, `times` as heavy.

    "_slope" is the mean slope between real and painted pictures, in units of the one that is wanted there.
    """
    found: dict[str, Tensor] = {}
    said: dict[str, Tensor] = {}
    if config.gp:
        centre = 1.0 if config.gp_centre is None else config.gp_centre
        share = batch.draws.uniform("between", 1, 1, 1)
        steep = penalties.slopes(judge, penalties.between(real, painted, share))  # (B,)
        found["gp"] = config.gp * penalties.off_centre(steep, centre)
        if centre:
            said["_slope"] = steep.mean() / centre
    if config.r1:
        found["r1"] = config.r1 / 2 * penalties.squared_slope(judge, real)
    if config.r2:
        found["r2"] = config.r2 / 2 * penalties.squared_slope(judge, painted)
    return lazily(found, times) | said


def lazily(found: dict[str, Tensor], times: int) -> dict[str, Tensor]:
    """Terms `times` as heavy; what is recorded by their names means the same however rarely they are taken."""
    if times == 1:
        return found
    said = {f"_{name}": value for name, value in found.items()}
    return {f"lazy_{name}": times * value for name, value in found.items()} | said


def consistency(
    config: GANConfig, judge: Judge, seen: tuple[Tensor, Tensor], said: tuple[Tensor, Tensor], draws: Draws
) -> dict[str, Tensor]:
    """E (D(x) - D(T x))^2 at real (Zhang et al. 2020, eq. 3) and painted pictures (Zhao et al. 2021, algorithm 1).

    Args:
        seen: real and painted pictures (B, C, H, W) as D was shown them. said: its logits (B,) of them.
    """
    ours = config.regularisers
    found = {}
    for name, weight, x, logits in zip(
        ("consistency", "balanced"), (ours.consistency, ours.balanced), seen, said, strict=True
    ):
        if weight:
            changed = judge(augment(x, draws.named(name), ours.consistency_changes))
            apart = (logits - changed).to(torch.promote_types(logits.dtype, torch.float32))
            found[name] = weight * apart.square().mean()
    return found


def filters(network: nn.Module) -> Iterator[Tensor]:
    """Weights whose rows are to be at right angles: all that multiply, but for embeddings (Brock et al. 2019, 3.1)."""
    for layer in network.modules():
        weight = layer._parameters.get("weight")
        if weight is not None and weight.dim() > 1 and not isinstance(layer, nn.Embedding):
            yield weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight


@torch.no_grad()
def clip(network: nn.Module, bound: float) -> None:
    """Cut all weights to +-bound (Arjovsky et al. 2017, algorithm 1, line 7)."""
    weights: list[Tensor] = list(network.parameters())
    torch._foreach_clamp_min_(weights, -bound)
    torch._foreach_clamp_max_(weights, bound)


class PathLength(nn.Module):
    """How far a picture moves with its latent, and how far is usual (Karras et al. 2020, section 3.2)."""

    usual: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("usual", torch.zeros(()))

    def penalty(self, painter: Painter, z: Tensor, batch: Batch) -> Tensor:
        """E (|J' y| - a)^2, eq. 4; a follows the lengths, those of all processes that share the batch."""
        with torch.autocast(z.device.type, enabled=False):
            at, pictures = painter.traced(z, batch.labels)
            lengths = penalties.path_lengths(pictures, at, batch.draws.normal("path", *pictures.shape[1:]))
            with torch.no_grad():
                processes = current()
                self.usual.lerp_((processes.total(lengths.mean()) / processes.world).to(self.usual), DECAY)
            return (lengths - self.usual.to(lengths)).square().mean()
