"""UNet2DModel of `diffusers` under its example for unconditional pictures, in 50 steps of DDIM.

python -m benchmarks.peers.diffusers_unet DATA --seconds 10m --out FILE.npz     needs diffusers

The example's settings: 1,000 steps of DDPM, noise as the target, AdamW 1e-4 (0.95, 0.999, decay 1e-6), cosine rate
after a warm-up, gradients cut at norm 1, averaged weights (inverse gamma 1, power 3/4), batches of 16, colour pictures
mirrored.
Its network has six levels for 64 px and more; at 32 px it keeps four, at a quarter of the width: 32, 64, 64, 128.
"""

from __future__ import annotations

import math

import diffusers
import torch
from benchmarks.peers.harness import Peer, numbers_in, run
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor

STEPS, WARM = 50, 500


class DiffusersUNet(Peer):
    """Noise prediction with an average of the weights."""

    version = f"diffusers {diffusers.__version__}"
    batch = 16

    def __init__(self, channels: int, side: int) -> None:
        self.shape = (channels, side, side)
        self.net = UNet2DModel(
            sample_size=side,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=2,
            block_out_channels=(32, 64, 64, 128),
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        )
        self.noise = DDPMScheduler(num_train_timesteps=1000)
        self.adam = torch.optim.AdamW(self.net.parameters(), 1e-4, (0.95, 0.999), weight_decay=1e-6, eps=1e-8)
        self.mean = EMAModel(self.net.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
        self.done = 0

    def parameters(self) -> int:
        """The network's."""
        return numbers_in(self.net)

    def step(self, batch: Tensor, share: float, expected: float) -> float:
        """The rate warms up over 500 steps, or a tenth of those that fit, and falls by a cosine over the time."""
        if self.shape[0] == 3:
            mirrored = torch.rand(len(batch), 1, 1, 1) < 0.5
            batch = torch.where(mirrored, batch.flip(-1), batch)
        self.done += 1
        warm = min(1.0, self.done / min(WARM, expected / 10))
        for group in self.adam.param_groups:
            group["lr"] = 1e-4 * warm * (1 + math.cos(math.pi * min(share, 1.0))) / 2
        noise = torch.randn_like(batch)
        times = torch.randint(0, 1000, (len(batch),))
        found = self.net(self.noise.add_noise(batch, noise, times), times).sample
        loss = torch.nn.functional.mse_loss(found, noise)
        self.adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.adam.step()
        self.mean.step(self.net.parameters())
        return float(loss.item())

    def paint(self, count: int) -> Tensor:
        """DDIM with the averaged weights."""
        self.mean.copy_to(self.net.parameters())
        self.net.eval()
        scheduler = DDIMScheduler.from_config(self.noise.config)
        scheduler.set_timesteps(STEPS)
        x = torch.randn(count, *self.shape)
        for time in scheduler.timesteps:
            x = scheduler.step(self.net(x, time).sample, time, x).prev_sample
        return x.clamp(-1, 1)


if __name__ == "__main__":
    run(DiffusersUNet)
