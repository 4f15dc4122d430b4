"""`denoising-diffusion-pytorch` with the settings of its own Trainer, 50 steps of DDIM.

python -m benchmarks.peers.denoising_diffusion_pytorch DATA --seconds 10m --out FILE.npz
needs denoising-diffusion-pytorch (without its dependencies), einops, ema-pytorch, accelerate

UNet of width 32 (1, 2, 4, 8), velocity as the target, sigmoid schedule, Adam 1e-4 (0.9, 0.99), gradients cut at norm 1,
averaged weights (0.995, every tenth step), batches of 16, colour pictures mirrored: the Trainer's defaults, in a plain
loop because the Trainer reads files and stops by steps, not by time.
"""

from __future__ import annotations

from importlib.metadata import version

import torch
from benchmarks.peers import stubs
from benchmarks.peers.harness import Peer, numbers_in, run
from torch import Tensor

with stubs.torchvision():
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet
    from ema_pytorch import EMA

STEPS = 50


class DenoisingDiffusion(Peer):
    """Its network, its loss, its sampler."""

    version = f"denoising-diffusion-pytorch {version('denoising-diffusion-pytorch')}"
    batch = 16

    def __init__(self, channels: int, side: int) -> None:
        self.colour = channels == 3
        net = Unet(dim=32, dim_mults=(1, 2, 4, 8), channels=channels)
        self.diffusion = GaussianDiffusion(net, image_size=side, timesteps=1000, sampling_timesteps=STEPS)
        self.adam = torch.optim.Adam(self.diffusion.parameters(), lr=1e-4, betas=(0.9, 0.99))
        self.mean = EMA(self.diffusion, beta=0.995, update_every=10)

    def parameters(self) -> int:
        """The network's."""
        return numbers_in(self.diffusion)

    def step(self, batch: Tensor, share: float, expected: float) -> float:
        """As in Trainer.train; the tool takes pictures in [0, 1]."""
        if self.colour:
            mirrored = torch.rand(len(batch), 1, 1, 1) < 0.5
            batch = torch.where(mirrored, batch.flip(-1), batch)
        loss = self.diffusion((batch + 1) / 2)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.diffusion.parameters(), 1.0)
        self.adam.step()
        self.adam.zero_grad()
        self.mean.update()
        return float(loss.item())

    def paint(self, count: int) -> Tensor:
        """DDIM with the averaged weights."""
        self.mean.ema_model.eval()
        painted: Tensor = self.mean.ema_model.sample(batch_size=count)
        return painted * 2 - 1


if __name__ == "__main__":
    run(DenoisingDiffusion)
