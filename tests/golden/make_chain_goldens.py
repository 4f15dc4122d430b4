"""Writes chains.json: what the schedulers of `diffusers` say of `chain_cases`.

    pip install diffusers==0.42.1
    python tests/golden/make_chain_goldens.py

Their tables are in float32. Trajectories are computed from them in float64, so that two roads to the same end differ by
the rounding of the tables alone. Level t of ours, 1 to 1000, is timestep t - 1 of theirs.
"""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import chain_cases as cases
import diffusers
import torch
from diffusers.schedulers import scheduling_ddpm

SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
PREDICTIONS = {"noise": "epsilon", "x": "sample", "velocity": "v_prediction"}
VARIANCES = {"beta": "fixed_large", "beta-tilde": "fixed_small", "learned": "learned_range"}


def listed(values: torch.Tensor) -> list[float]:
    return [round(value, 7) for value in values.flatten().tolist()]


def doubled(kind: type, schedule: str, prediction: str, clip: bool, **options: Any) -> Any:
    """A scheduler whose table of betas is theirs, and all that follows from it in float64."""
    made = kind(
        beta_schedule=SCHEDULES[schedule],
        prediction_type=PREDICTIONS[prediction],
        clip_sample=clip,
        timestep_spacing="trailing",
        **options,
    )
    made.betas = made.betas.double()
    made.alphas = 1 - made.betas
    made.alphas_cumprod = made.alphas.cumprod(0)
    made.one = made.final_alpha_cumprod = torch.ones((), dtype=torch.float64)
    made.set_timesteps(cases.STEPS)
    return made


def ancestral(schedule: str, prediction: str, variance: str, clip: bool) -> dict[str, Any]:
    made = doubled(diffusers.DDPMScheduler, schedule, prediction, clip, variance_type=VARIANCES[variance])
    channels = 2 if variance == "learned" else 1
    z, states, pictures = cases.start(), [], []
    for timestep in made.timesteps.tolist():
        step = timestep + 1
        scheduling_ddpm.randn_tensor = lambda *_, to=step - 1000 // cases.STEPS, **__: cases.noise(to)
        found = made.step(cases.network(z, step, channels), timestep, z)
        z = found.prev_sample
        states.append(listed(z))
        pictures.append(listed(found.pred_original_sample))
    # Theirs adds noise on the last step too where steps are left out; the paper (algorithm 2) does not.
    return {"states": states[:-1], "pictures": pictures}


def ddim(schedule: str, prediction: str, eta: float, clip: bool) -> dict[str, Any]:
    made = doubled(diffusers.DDIMScheduler, schedule, prediction, clip)
    z, states = cases.start(), []
    for timestep in made.timesteps.tolist():
        step = timestep + 1
        added = {"variance_noise": cases.noise(step - 1000 // cases.STEPS)} if eta else {}
        found = made.step(cases.network(z, step), timestep, z, eta=eta, use_clipped_model_output=True, **added)
        z = found.prev_sample
        states.append(listed(z))
    return {"states": states}


def main() -> None:
    found: dict[str, Any] = {"schedules": {}, "variances": {}}
    for schedule in SCHEDULES:
        plain = diffusers.DDPMScheduler(beta_schedule=SCHEDULES[schedule])
        found["schedules"][schedule] = [plain.alphas_cumprod[t].item() for t in cases.LEVELS]
        found["variances"][schedule] = [plain._get_variance(t).item() for t in cases.LEVELS[1:]]
    found["ancestral"] = {name: ancestral(*case) for name, case in cases.ANCESTRAL.items()}
    found["ddim"] = {name: ddim(*case) for name, case in cases.DDIM.items()}
    about = {name: importlib.metadata.version(name) for name in ("diffusers", "torch")}
    out = Path(__file__).with_name("chains.json")
    out.write_text(json.dumps({"versions": about, **found}, indent=None) + "\n")


if __name__ == "__main__":
    main()
