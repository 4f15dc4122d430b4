"""Networks of either kind, in every diffusion recipe and in config files."""

import json
import math

import pytest

from limner.api import Spec
from limner.check import Subject
from limner.check.bench import SHAPE, painted, steps
from limner.families import build
from limner.nn.transformer import Transformer, TransformerConfig
from limner.nn.unet import UNet
from limner.recipes import recipe
from limner.verbs.preparing import _from_config

SPEC = Spec(channels=3, height=8, width=8, attributes=(SHAPE,))
SMALL = {
    "flow": {"network": "transformer", "network.width": 16, "network.depth": 2, "network.heads": 2},
    "edm": {"network": "transformer", "network.width": 16, "network.depth": 2, "network.heads": 2},
    "ddpm": {"network": "transformer", "network.width": 16, "network.depth": 2, "network.heads": 2},
    "dit": {"network": "unet", "network.widths": [8, 16], "network.blocks": [1, 1]},
}


@pytest.mark.parametrize("name", SMALL)
def test_diffusion_recipes_take_either_network(name):
    config = Subject(recipe(name), size=(8, 8), small=SMALL[name]).config(SPEC)
    model = build(config)
    assert isinstance(model.network, UNet if name == "dit" else Transformer)
    for losses in steps(model, config, 2):
        assert all(math.isfinite(value) for value in losses.values())
    assert painted(model.eval(), range(2), options=model.quick()).shape == (2, 8, 8, 3)


def network_of(tmp_path, **network):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"recipe": "flow", "model": {"network": network}}))
    return _from_config(path, None, SPEC, 100, 60.0).model.network


def test_config_files_change_the_network_or_bring_another(tmp_path):
    plain = network_of(tmp_path)
    changed = network_of(tmp_path, blocks=[1, 1])
    assert changed.blocks == (1, 1) and changed.widths == plain.widths
    assert network_of(tmp_path, kind="transformer", depth=3) == TransformerConfig(depth=3)
