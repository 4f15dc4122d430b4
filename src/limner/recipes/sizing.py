"""How large a network a training has time for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limner.api import Situation
from limner.nn.transformer import Patch as Square
from limner.nn.transformer import TransformerConfig
from limner.nn.unet import Patch, UNetConfig

MODERATE = 600.0
"""Seconds that are planned for where no budget is given."""

SPEED = 50e9
"""Multiplications and additions a second, with their backward pass, of the two-core machine that this is tuned on."""

SHAPES: tuple[tuple[int, Patch, tuple[int, ...], tuple[int, ...]], ...] = (
    # longest side, patch, widths, blocks
    (16, 1, (64, 128), (2, 3)),
    (40, 2, (64, 128), (2, 4)),
    (80, 2, (32, 64, 128), (1, 2, 4)),
    (160, 4, (48, 96, 160), (1, 2, 3)),
    (1 << 30, 4, (48, 96, 128, 160), (1, 1, 2, 3)),
)

TOKEN_SPEED = 32e9
"""The same of a transformer: its matrix products are as quick, and half as much again goes to what lies between."""

TRANSFORMERS = ((384, 12, 6), (256, 10, 4), (192, 8, 3), (128, 6, 4), (96, 6, 3))
"""Widths, depths and heads."""

SEEN = 75_000
"""Pictures that a transformer has to see in training; where time is short, it has to be smaller."""

SQUARES: tuple[Square, ...] = (1, 2, 4, 8, 16)

PLACES = 20
"""Along a side of the picture, at most, for a transformer with fine squares."""


def widest(widths: Sequence[int], seconds_a_step: Callable[[int], float], budget: float | None, steps: int) -> int:
    """The first of `widths`, widest first, that leaves at least `steps` steps in `budget` seconds; else the last."""
    seconds = budget or MODERATE
    return next((width for width in widths if steps * seconds_a_step(width) <= seconds), widths[-1])


def unet(situation: Situation) -> tuple[UNetConfig, int]:
    """The UNet and the batch: wider for longer trainings, larger batches for more pictures seen, dropout for few."""
    spec, seconds = situation.spec, situation.budget or MODERATE
    config = sizes(max(spec.height, spec.width), seconds, dropout(situation.pictures))
    seen = seconds * SPEED / work(config, spec.height, spec.width)
    return config, batch_for(seen, situation.pictures)


def sizes(side: int, seconds: float, dropped: float) -> UNetConfig:
    """The UNet for pictures of this side and a training of this length."""
    patch, widths, blocks = next(row[1:] for row in SHAPES if side <= row[0])
    factor = 0.75 if seconds < 150 else 1.0 if seconds <= 1800 else 1.5 if seconds <= 4 * 3600 else 2.0
    widths = tuple(max(16, round(width * factor / 16) * 16) for width in widths)
    attention = (len(widths) - 1,) if seconds > 3600 else ()
    return UNetConfig(patch=patch, widths=widths, blocks=blocks, attention=attention, embedding=128, dropout=dropped)


def work(unet: UNetConfig, height: int, width: int) -> float:
    """Multiplications and additions of the 3x3 convolutions of the blocks, a picture, forward."""
    total = 0.0
    for level, (channels, blocks) in enumerate(zip(unet.widths, unet.blocks, strict=True)):
        places = height * width / (unet.patch << level) ** 2
        ways = 1 if level + 1 == len(unet.widths) else 2
        total += ways * blocks * 2 * 9 * channels**2 * places
    return total


def transformer(situation: Situation) -> tuple[TransformerConfig, int]:
    """The largest transformer that sees enough pictures, and the batch.

    Squares are of 2 pixels up to 40, of 4 up to 80, and so on; twice as long where time is too short for so many.
    """
    spec, seconds = situation.spec, situation.budget or MODERATE
    fine = next((i for i, square in enumerate(SQUARES) if max(spec.height, spec.width) <= PLACES * square), -1)
    choices = [
        TransformerConfig(
            patch=patch, width=width, depth=depth, heads=heads, embedding=128, dropout=dropout(situation.pictures)
        )
        for patch in SQUARES[fine:][:2]
        for width, depth, heads in TRANSFORMERS
    ]
    counts = [seconds * TOKEN_SPEED / token_work(one, spec.height, spec.width) for one in choices]
    chosen, seen = next(
        (pair for pair in zip(choices, counts, strict=True) if pair[1] >= SEEN), (choices[-1], counts[-1])
    )
    return chosen, batch_for(seen, situation.pictures)


def token_work(config: TransformerConfig, height: int, width: int) -> float:
    """Multiplications and additions of the blocks' matrix products, a picture, forward."""
    tokens = -(-height // config.patch) * -(-width // config.patch)
    mlp = (3 if config.mlp == "swiglu" else 2) * config.hidden
    return float(config.depth * tokens * config.width * (4 * config.width + mlp + 2 * tokens))


def batch_for(seen: float, pictures: int) -> int:
    """A power of two that leaves some thousand steps, at most as large as the set.

    Below 32 a step of Muon costs as much as the gradient that it is given.
    """
    wanted = next((size for size in (128, 64) if seen / size >= 3000), 32)
    return max(1, min(wanted, pictures))


def dropout(pictures: int) -> float:
    """Against learning small sets by heart."""
    return 0.2 if pictures < 1000 else 0.1 if pictures < 5000 else 0.0
