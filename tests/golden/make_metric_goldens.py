"""Writes metrics.json: what published implementations say of `metric_sets`.

    pip install --no-deps --target FOLDER pytorch-fid==0.3.0 prdc==0.2 torch-fidelity==0.4.0 clean-fid==0.1.35
    PYTHONPATH=FOLDER python tests/golden/make_metric_goldens.py

The packages are installed without what they depend on: only their formulas are called. What they import at the top and
these formulas do not use (torchvision, tqdm, requests) is replaced by empty modules.
"""

import importlib.machinery
import importlib.metadata
import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch
from metric_sets import feature_sets, logits

UNUSED = (
    "torchvision",
    "torchvision.models",
    "torchvision.transforms",
    "torchvision.transforms.functional",
    "torchvision.datasets",
    "tqdm",
    "requests",
)


def stand_ins() -> None:
    for name in UNUSED:
        module = MagicMock()
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules.setdefault(name, module)
    sys.modules["tqdm"].tqdm = lambda items, **_: items


def main() -> None:
    stand_ins()
    from cleanfid.fid import kernel_distance as clean_kid
    from prdc import compute_prdc
    from pytorch_fid.fid_score import calculate_frechet_distance
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    found: dict[str, dict[str, float]] = {}
    for name, (real, samples) in feature_sets().items():
        size = min(len(real), len(samples))
        moments = [(f.mean(0), np.cov(f, rowvar=False)) for f in (samples, real)]
        equal = [torch.from_numpy(f[:size]) for f in (samples, real)]
        kid = kid_features_to_metric(*equal, kid_subsets=1, kid_subset_size=size, rng_seed=0, verbose=False)
        found[name] = {
            "pytorch-fid frechet": float(calculate_frechet_distance(*moments[0], *moments[1])),
            "torch-fidelity kid": kid["kernel_inception_distance_mean"],
            "clean-fid kid": clean_kid(*(f.numpy() for f in equal), num_subsets=1, max_subset_size=size),
            **{f"prdc {key}": float(value) for key, value in compute_prdc(real, samples, nearest_k=5).items()},
        }
    score = isc_features_to_metric(torch.from_numpy(logits()), splits=1, shuffle=False)
    found["logits"] = {"torch-fidelity inception score": score["inception_score_mean"]}
    packages = ("pytorch-fid", "prdc", "torch-fidelity", "clean-fid", "scipy", "numpy")
    about = {name: importlib.metadata.version(name) for name in packages}
    out = Path(__file__).with_name("metrics.json")
    out.write_text(json.dumps({"versions": about, "values": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
