"""The sets of numbers that the published implementations and ours are both given."""

import numpy as np


def feature_sets() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name to (real (N, D), samples (M, D)), float64, equal on every machine (RandomState's streams are frozen)."""
    random = np.random.RandomState(20)
    mix = random.standard_normal((24, 24)) / 4
    real = random.standard_normal((400, 24)) @ mix + 0.3
    near = random.standard_normal((350, 24)) @ (mix + 0.03 * random.standard_normal((24, 24))) + 0.35
    far = 0.7 * random.standard_normal((350, 24)) @ mix + 0.8
    collapsed = np.repeat(near[:25], 14, axis=0) + 0.02 * random.standard_normal((350, 24))
    few = np.abs(random.standard_normal((60, 40)))
    return {"near": (real, near), "far": (real, far), "collapsed": (real, collapsed), "few": (few[:32], few[32:])}


def logits() -> np.ndarray:
    """(500, 10) of a classifier that is sure of some pictures."""
    random = np.random.RandomState(21)
    return random.standard_normal((500, 10)) * (1 + 3 * random.random_sample((500, 1)))
