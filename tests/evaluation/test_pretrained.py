"""Feature networks of others: found where they lie, refused in one line where they do not."""

import numpy as np
import pytest
import torch

from limner.errors import UserError
from limner.evaluation import load

PICTURES = np.random.default_rng(0).integers(0, 256, (5, 20, 24, 3), dtype=np.uint8)


class Stub(torch.nn.Module):
    """Stands in for the Inception network: same call, features that are easy to foretell."""

    def forward(self, x: torch.Tensor, return_features: bool) -> torch.Tensor:
        return x.float().mean((2, 3)) if return_features else x.float().sum((1, 2, 3))[:, None]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def test_inception_at_hand(cache):
    torch.jit.script(Stub()).save(cache / "inception-2015-12-05.pt")
    features = load("inception")
    np.testing.assert_allclose(features.extract(PICTURES), PICTURES.mean((1, 2)), rtol=1e-5)
    assert features.dimension == 3
    assert load(cache / "inception-2015-12-05.pt").hash == features.hash


@pytest.mark.parametrize("name", ["inception", "dinov2", "clip"])
def test_weights_that_are_missing_are_named(cache, name):
    with pytest.raises(UserError) as caught:
        load(name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_and_foreign_files(cache):
    with pytest.raises(UserError, match="did you mean 'dinov2'"):
        load("dinov3")
    (cache / "text.pt").write_text("not a network")
    with pytest.raises(UserError, match="TorchScript"):
        load(cache / "text.pt")
    (cache / "text.safetensors").write_text("not tensors")
    with pytest.raises(UserError, match="feature network"):
        load(cache / "text.safetensors")


def test_dinov2_and_clip_from_a_folder(cache):
    transformers = pytest.importorskip("transformers", reason="the extra 'features' is not installed")
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28}
    dino = transformers.Dinov2Model(transformers.Dinov2Config(**small, patch_size=14)).eval()
    dino.save_pretrained(cache / "dinov2")
    features = load("dinov2")
    x = torch.randint(0, 256, (2, 28, 28, 3), dtype=torch.uint8)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = dino((((x / 255) - mean) / deviation).permute(0, 3, 1, 2)).pooler_output
    np.testing.assert_allclose(features.extract(x.numpy()), expected.numpy(), atol=1e-5)

    vision = transformers.CLIPVisionConfig(**small, patch_size=14, intermediate_size=32, projection_dim=8)
    config = transformers.CLIPConfig(vision_config=vision.to_dict(), projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(cache / "clip")
    features = load("clip")
    assert features.extract(PICTURES).shape == (5, 8)
    assert features.hash != load("dinov2").hash
