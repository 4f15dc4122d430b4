"""The textbook DCGAN, as tutorials write it: python -m benchmarks.peers.dcgan DATA --seconds 10m --out FILE.npz

Radford, Metz, Chintala 2016 (1511.06434): 64 filters, weights from N(0, 0.02), Adam 2e-4 with beta 0.5, batches of 128,
binary cross-entropy. Tutorials show 64 px; each halving of the side takes one layer away.
"""

from __future__ import annotations

import torch
from benchmarks.peers.harness import Peer, numbers_in, run
from torch import Tensor, nn

Z, FILTERS = 100, 64


def generator(channels: int, side: int) -> nn.Sequential:
    """(B, 100, 1, 1) to (B, C, side, side)."""
    width = FILTERS * side // 8
    layers: list[nn.Module] = [nn.ConvTranspose2d(Z, width, 4, 1, 0, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
    while width > FILTERS:
        layers += [
            nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(True),
        ]
        width //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(channels: int, side: int) -> nn.Sequential:
    """(B, C, side, side) to (B, 1, 1, 1) in (0, 1)."""
    layers: list[nn.Module] = [nn.Conv2d(channels, FILTERS, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    width = FILTERS
    while width < FILTERS * side // 8:
        layers += [nn.Conv2d(width, width * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(width * 2)]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
        width *= 2
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 0, bias=False), nn.Sigmoid())


def begin(module: nn.Module) -> None:
    """The paper's initial weights."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class DCGAN(Peer):
    """Both networks stay in training mode, as in the tutorials: painting normalises by its own batches too."""

    version = f"textbook, torch {torch.__version__}"
    batch = 128
    paints = 125

    def __init__(self, channels: int, side: int) -> None:
        self.g, self.d = generator(channels, side).apply(begin), discriminator(channels, side).apply(begin)
        self.loss = nn.BCELoss()
        self.g_adam = torch.optim.Adam(self.g.parameters(), 2e-4, (0.5, 0.999))
        self.d_adam = torch.optim.Adam(self.d.parameters(), 2e-4, (0.5, 0.999))

    def parameters(self) -> int:
        """The generator's."""
        return numbers_in(self.g)

    def step(self, batch: Tensor, share: float, expected: float) -> float:
        """D on real, D on fake, G."""
        real, fake = torch.ones(len(batch)), torch.zeros(len(batch))
        self.d.zero_grad()
        self.loss(self.d(batch).view(-1), real).backward()
        made = self.g(torch.randn(len(batch), Z, 1, 1))
        self.loss(self.d(made.detach()).view(-1), fake).backward()
        self.d_adam.step()
        self.g.zero_grad()
        loss = self.loss(self.d(made).view(-1), real)
        loss.backward()
        self.g_adam.step()
        return float(loss.item())

    def paint(self, count: int) -> Tensor:
        """One pass."""
        painted: Tensor = self.g(torch.randn(count, Z, 1, 1))
        return painted


if __name__ == "__main__":
    run(DCGAN)
