"""Muon: momentum whose matrices are made orthogonal (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # the quintic of the source: steep at zero, within [0.7, 1.2] at one


def orthogonalised(matrices: Tensor, steps: int = 5, dtype: torch.dtype | None = None) -> Tensor:
    """About U V^T of each of the matrices (n, rows, columns) with singular value decomposition U S V^T.

    By Newton-Schulz steps; `dtype` is that of the steps where they bear rough arithmetic.
    """
    a, b, c = _NEWTON_SCHULZ
    x = matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)
    if transposed := x.shape[1] > x.shape[2]:
        x = x.mT
    if x.shape[2] >= 3 * x.shape[1]:
        x = _by_gram(x, steps)
    else:
        x = x.to(dtype or x.dtype)
        for _ in range(steps):
            gram = x @ x.mT
            x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if transposed else x).to(matrices.dtype)


def _by_gram(x: Tensor, steps: int) -> Tensor:
    """The same steps taken on x x^T, so that x itself is touched twice only: cheaper for wide matrices."""
    a, b, c = _NEWTON_SCHULZ
    gram = x @ x.mT
    unit = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    product = unit.expand_as(gram)
    for _ in range(steps):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c).add_(unit, alpha=a)
        product = factor @ product
        gram = factor @ gram @ factor
    return product @ x


class Muon(torch.optim.Optimizer):
    """Muon for weights of two and more dimensions (kernels flattened), AdamW for vectors.

    Updates are scaled to the root mean square of AdamW's (0.2 sqrt(max(rows, columns)); Liu et al. 2025, eq. 4), so the
    same learning rate serves both. `dtype` is that of the Newton-Schulz steps, which bear bfloat16 (as in the source).
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dtype = dtype
        super().__init__(
            parameters, {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        assert closure is None, "Muon takes no closure"
        for group in self.param_groups:
            held = [p for p in group["params"] if p.grad is not None]
            if group["weight_decay"]:
                torch._foreach_mul_(held, 1.0 - group["lr"] * group["weight_decay"])
            matrices = [p for p in held if p.ndim >= 2 and min(p.shape[:2]) > 1]
            vectors = [p for p in held if p.ndim < 2 or min(p.shape[:2]) == 1]
            if matrices:
                self._matrices(matrices, group)
            if vectors:
                self._vectors(vectors, group)

    def _matrices(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        for p in parameters:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        gradients = [p.grad for p in parameters if p.grad is not None]
        momenta = [self.state[p]["momentum"] for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1.0 - group["momentum"])
        nesterov = torch._foreach_lerp(gradients, momenta, group["momentum"])
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for p, one in zip(parameters, nesterov, strict=True):
            alike.setdefault(_rows(p).shape, []).append((_rows(p), _rows(one)))
        for shape, pairs in alike.items():  # together, since each alone is too little work for several threads
            weights, directions = zip(*pairs, strict=True)
            updates = orthogonalised(torch.stack(directions), dtype=self.dtype).unbind()
            torch._foreach_add_(weights, updates, alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)

    def _vectors(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        for p in parameters:
            if not self.state[p]:
                self.state[p] |= {"step": torch.zeros(()), "exp_avg": torch.zeros_like(p)}
                self.state[p]["exp_avg_sq"] = torch.zeros_like(p)
        gradients = [p.grad for p in parameters if p.grad is not None]
        states = [self.state[p] for p in parameters]
        means, squares = ([state[key] for state in states] for key in ("exp_avg", "exp_avg_sq"))
        (beta1, beta2), steps = group["betas"], []
        for state in states:
            state["step"] += 1
            steps.append(state["step"].item())
        torch._foreach_lerp_(means, gradients, 1.0 - beta1)
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1.0 - beta2)
        spreads = torch._foreach_sqrt(torch._foreach_div(squares, [1.0 - beta2**step for step in steps]))
        torch._foreach_add_(spreads, group["eps"])
        updates = torch._foreach_div(torch._foreach_div(means, [1.0 - beta1**step for step in steps]), spreads)
        torch._foreach_add_([p.data for p in parameters], updates, alpha=-group["lr"])


def _rows(weight: Tensor) -> Tensor:
    """A view (rows, columns) of a weight, columns in the order of its memory: their order does not matter to Muon."""
    if weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last):
        weight = weight.permute(0, 2, 3, 1)
    return weight.view(weight.shape[0], -1)
