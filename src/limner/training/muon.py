"""Muon: momentum whose matrices are made orthogonal (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # the quintic of the source: steep at zero, within [0.7, 1.2] at one


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """About U V^T of a matrix (rows, columns) with singular value decomposition U S V^T, by Newton-Schulz steps."""
    a, b, c = _NEWTON_SCHULZ
    x = matrix / (matrix.norm() + 1e-7)
    if transposed := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if transposed else x


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
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.mul_(1.0 - group["lr"] * group["weight_decay"])
                update = self._matrix(p, group) if p.ndim >= 2 and min(p.shape[:2]) > 1 else self._vector(p, group)
                p.add_(update, alpha=-group["lr"])

    def _matrix(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(p.grad, 1.0 - group["momentum"])
        nesterov = p.grad.lerp(state["momentum"], group["momentum"])  # type: ignore[union-attr]
        flat = nesterov.reshape(p.shape[0], -1)
        scale = 0.2 * max(flat.shape) ** 0.5
        return orthogonalised(flat.to(self.dtype)).to(p.dtype).mul_(scale).reshape(p.shape)

    def _vector(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[p]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
        assert p.grad is not None
        (beta1, beta2), step = group["betas"], state["step"]
        step += 1
        state["exp_avg"].lerp_(p.grad, 1.0 - beta1)
        state["exp_avg_sq"].lerp_(p.grad.square(), 1.0 - beta2)
        mean = state["exp_avg"] / (1.0 - beta1 ** step.item())
        spread = (state["exp_avg_sq"] / (1.0 - beta2 ** step.item())).sqrt()
        return mean / (spread + group["eps"])
