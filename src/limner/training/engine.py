"""From a phase's loss to a step of its optimiser: precision, accumulation, one all-reduce, clipping, finite check."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from limner.api import Batch, Generator, Phase, Progress, Scratch, Stage
from limner.config import Training
from limner.draws import layers_draw_from
from limner.processes import Processes, sharing
from limner.training import optimisers

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


class NotFinite(Exception):
    """A loss or a gradient was NaN or infinite: nothing of this step may be kept."""


class Engine:
    """Owns the optimisers of all stages; knows devices and precision, and nothing of any family."""

    def __init__(self, model: Generator, train: Training, processes: Processes | None = None) -> None:
        self.train, self.processes = train, processes or Processes()
        self.device = model.device
        self.dtype = torch.float64 if train.precision == "float64" else torch.float32
        model.to(self.dtype)
        if train.layout == "channels_last":
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.rate_scale = 1.0
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        for stage in model.stages():
            for phase in stage.phases:
                if phase.shares is None and phase.optimiser is not None:
                    self.optimisers[f"{stage.name}.{phase.name}"] = optimisers.build(
                        phase.optimiser, phase.parameters(), _DTYPES[train.precision]
                    )

    def turn(
        self, stage: Stage, phase: Phase, batch: Batch, progress: Progress, scratches: list[Scratch]
    ) -> dict[str, Tensor]:
        """One turn of a phase: its loss on `batch`, gradients, a step of its optimiser. Returns the named losses.

        Raises:
            NotFinite: before any weight has changed.
        """
        if phase.optimiser is None:
            return self._look(phase, batch, progress)
        parameters = phase.parameters()
        parts = self._micro_batches(batch)
        seen: dict[str, Tensor] = {}
        gradients: list[Tensor] | None = None
        for part, scratch in zip(parts, scratches, strict=True):
            losses, grads = self.gradients(phase, part, progress, scratch, parameters)
            gradients = grads if gradients is None else [a.add_(b) for a, b in zip(gradients, grads, strict=True)]
            for name, value in losses.items():
                seen[name] = seen.get(name, 0.0) + value.detach().float() / len(parts)
        assert gradients is not None
        if len(parts) > 1:
            torch._foreach_div_(gradients, float(len(parts)))
        reported = [value.to(gradients[0].dtype) for value in seen.values()]
        self.processes.mean([*gradients, *reported])
        seen = dict(zip(seen, (value.float() for value in reported), strict=True))
        self._step(stage, phase, parameters, gradients, progress)
        return seen

    def gradients(
        self, phase: Phase, batch: Batch, progress: Progress, scratch: Scratch, parameters: list[Any]
    ) -> tuple[Mapping[str, Tensor], list[Tensor]]:
        """Losses of a batch and the gradients of their sum. Only the phase's own parameters get any."""
        with self.precision(), layers_draw_from(batch.draws), sharing(self.processes):
            losses = phase.loss(batch, progress, scratch)
            trained = [value for name, value in losses.items() if not name.startswith("_")]
            total = torch.stack([value.to(self.dtype) for value in trained]).sum()
            grads = torch.autograd.grad(total, parameters, allow_unused=True, retain_graph=bool(scratch))
        return losses, [torch.zeros_like(p) if g is None else g for g, p in zip(grads, parameters, strict=True)]

    def _look(self, phase: Phase, batch: Batch, progress: Progress) -> dict[str, Tensor]:
        with torch.no_grad(), self.precision(), layers_draw_from(batch.draws), sharing(self.processes):
            seen = {name: value.float() for name, value in phase.loss(batch, progress, {}).items()}
        self.processes.mean(list(seen.values()))
        return seen

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which losses are computed."""
        if self.train.precision == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def place(self, pictures: Tensor) -> Tensor:
        """Pictures (B, C, H, W) on the device, in the dtype and layout of the weights."""
        layout = torch.channels_last if self.train.layout == "channels_last" else torch.contiguous_format
        return pictures.to(device=self.device, dtype=self.dtype, memory_format=layout)

    def scratches(self) -> list[Scratch]:
        """A fresh scratch for each micro-batch of a step."""
        return [{} for _ in range(self.train.accumulate)]

    def _micro_batches(self, batch: Batch) -> list[Batch]:
        return [batch] if self.train.accumulate == 1 else batch.split(self.train.accumulate)

    def _step(
        self, stage: Stage, phase: Phase, parameters: list[Any], gradients: list[Tensor], progress: Progress
    ) -> None:
        assert phase.optimiser is not None, "a phase that only looks takes no step"
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if not torch.isfinite(norm):
            raise NotFinite(f"the gradient of phase {phase.name!r} is not finite")
        if self.train.clip and norm > self.train.clip:
            torch._foreach_mul_(gradients, float(self.train.clip / norm))
        optimiser = self.optimisers[f"{stage.name}.{phase.shares or phase.name}"]
        for group in optimiser.param_groups:
            group["lr"] = optimisers.rate(phase.optimiser, progress.fraction, self.rate_scale)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = _laid_out_like(parameter, gradient)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors by name, plain values) of all optimisers."""
        tensors: dict[str, Tensor] = {}
        plain: dict[str, Any] = {"rate_scale": self.rate_scale}
        for name, optimiser in self.optimisers.items():
            for place, values in optimiser.state_dict()["state"].items():
                for key, value in values.items():
                    if isinstance(value, Tensor):
                        tensors[f"{name}/{place}/{key}"] = value
                    elif value is not None:
                        plain[f"{name}/{place}/{key}"] = value
        return tensors, plain

    def load(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Take over what `state` gave."""
        self.rate_scale = plain["rate_scale"]
        for name, optimiser in self.optimisers.items():
            held = optimiser.state_dict()
            held["state"] = {}
            for source in (tensors, plain):
                for path, value in source.items():
                    owner, _, rest = path.rpartition("/")
                    owner, _, place = owner.rpartition("/")
                    if owner == name:
                        held["state"].setdefault(int(place), {})[rest] = value
            optimiser.load_state_dict(held)
            for parameter, state in optimiser.state.items():
                for key, value in state.items():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        state[key] = _laid_out_like(parameter, value)


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    # Fused optimisers walk all their tensors in memory order, so that one in another layout would be scrambled.
    if value.stride() == parameter.stride():
        return value
    return torch.empty_like(parameter).copy_(value)
