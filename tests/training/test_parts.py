"""Averages, optimisers and rates against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import build as build_toy
from toys import config_of

from limner.config import Optimiser
from limner.training import optimisers
from limner.training.averaging import Average, exponent
from limner.training.muon import orthogonalised


@pytest.mark.parametrize("sigma_rel", [0.02, 0.05, 0.1, 0.2])
def test_exponent_gives_the_asked_relative_width(sigma_rel: float) -> None:
    gamma = exponent(sigma_rel)
    # The profile is t^gamma on (0, 1]; its standard deviation relative to the training's length is sigma_rel.
    t = (np.arange(200_000) + 0.5) / 200_000
    weight = t**gamma / (t**gamma).sum()
    mean = (weight * t).sum()
    assert np.sqrt((weight * (t - mean) ** 2).sum()) == pytest.approx(sigma_rel, rel=1e-3)


def test_average_is_the_weighted_mean_of_all_weights() -> None:
    model = build_toy(config_of())
    average = Average(model, 0.1)
    gamma, history = average.gamma, []
    assert gamma is not None
    for step in range(1, 40):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(float(np.sin(step)))
        average.update(step)
        history.append(float(np.sin(step)))
    # beta_t = (1 - 1/t)^(g+1), unrolled: step k keeps (1 - beta_k) prod_{j>k} beta_j = (k/T)^(g+1) - ((k-1)/T)^(g+1).
    k = np.arange(1, 40)
    weight = (k / 39) ** (gamma + 1) - ((k - 1) / 39) ** (gamma + 1)
    expected = float((weight * np.array(history)).sum())
    assert next(average.model.parameters()).flatten()[0].item() == pytest.approx(expected, abs=1e-6)


def test_average_off_is_the_live_weights() -> None:
    model = build_toy(config_of())
    average = Average(model, 0.0)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    average.update(1)
    assert torch.equal(next(model.parameters()), next(average.model.parameters()))


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (12, 12)])
def test_orthogonalised_is_near_the_polar_factor(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    found, *_ = orthogonalised(torch.stack([matrix, -3 * matrix]))
    assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ vt).flatten(), dim=0) > 0.95
    assert torch.linalg.svdvals(found).min() > 0.5 and torch.linalg.svdvals(found).max() < 1.3


def test_matrices_are_orthogonalised_each_by_itself() -> None:
    matrices = torch.randn(3, 8, 30, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([orthogonalised(one[None]) for one in matrices])
    assert torch.allclose(orthogonalised(matrices), alone, atol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "momentum", "rmsprop", "adam", "adamw", "muon"])
def test_every_optimiser_goes_downhill(name: str) -> None:
    target = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    weight = torch.nn.Parameter(torch.zeros_like(target))
    bias = torch.nn.Parameter(torch.zeros(4))
    optimiser = optimisers.build(Optimiser(name=name, rate=0.05), [weight, bias])  # type: ignore[arg-type]

    def loss() -> torch.Tensor:
        return (weight - target).square().sum() + (bias - 1).square().sum()

    before = loss().item()
    for _ in range(60):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss().item() < 0.5 * before


def test_rate_follows_the_plan() -> None:
    config = Optimiser(rate=2.0, warmup=0.1, decay=0.5)
    assert optimisers.rate(config, 0.05) == pytest.approx(1.0)
    assert optimisers.rate(config, 0.3) == 2.0
    assert optimisers.rate(config, 0.75) == pytest.approx(1.0)
    assert optimisers.rate(config, 1.0) == 0.0
    assert optimisers.rate(config, 0.3, scale=0.5) == 1.0
    cosine = Optimiser(rate=1.0, decay=1.0, shape="cosine")
    assert optimisers.rate(cosine, 0.5) == pytest.approx(0.5)
