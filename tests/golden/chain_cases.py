"""What the goldens of diffusion chains are made of: a network, noise and a start that are formulas."""

import math

import torch

STEPS = 10
LEVELS = (0, 1, 2, 9, 49, 99, 249, 499, 749, 899, 989, 998)
"""Places in the published tables, which begin at the first noising; the very last of the cosine is left out: its value
is the rounding error of 1 - 0.999..."""

ANCESTRAL = {
    f"{schedule} {prediction} {variance} {'clipped' if clip else 'free'}": (schedule, prediction, variance, clip)
    for schedule, prediction, variance, clip in [
        ("linear", "noise", "beta-tilde", True),
        ("linear", "noise", "beta-tilde", False),
        ("linear", "noise", "beta", True),
        ("linear", "velocity", "learned", False),
        ("cosine", "x", "beta-tilde", False),
        ("cosine", "velocity", "beta", True),
        ("cosine", "noise", "learned", True),
    ]
}

DDIM = {
    f"{schedule} {prediction} eta {eta} {'clipped' if clip else 'free'}": (schedule, prediction, eta, clip)
    for schedule, prediction, eta, clip in [
        ("linear", "noise", 0.0, False),
        ("linear", "noise", 0.0, True),
        ("linear", "noise", 1.0, True),
        ("linear", "x", 0.5, False),
        ("linear", "velocity", 1.0, False),
        ("cosine", "velocity", 0.0, True),
        ("cosine", "noise", 1.0, True),
    ]
}


def start() -> torch.Tensor:
    """(2, 1, 2, 3) values like noise."""
    return torch.linspace(-1.7, 2.1, 12, dtype=torch.float64).sin().mul(1.6).view(2, 1, 2, 3)


def noise(step: int) -> torch.Tensor:
    """For the step that leads to level `step`."""
    return (1.3 * torch.arange(12, dtype=torch.float64) + 0.7 * step).sin().mul(1.4).view(2, 1, 2, 3)


def network(z: torch.Tensor, step: int, channels: int = 1) -> torch.Tensor:
    """A prediction at z (2, 1, 2, 3) and level `step` of 1000; a second channel says the variance, in [-1, 1]."""
    said = 0.8 * z + 0.2 * (3 * z + step / 100).cos()
    return said if channels == 1 else torch.cat([said, (2 * z + math.sqrt(step)).sin()], 1)
