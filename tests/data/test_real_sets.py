"""Real sets of pictures open as they are."""

import numpy as np
import pytest

from limner.data import DataOptions, pack, scan


def test_mnist(real_data):
    made = pack(real_data / "mnist")
    assert len(made) == 60_000 and made.shape == (1, 28, 28) and made.classes == tuple("0123456789")
    assert made.report["layout"] == "idx, gzipped" and made.report["classes"]["1"] == 6742
    assert len(made.train) == 55_000 and len(made.validation) == 1000 and len(made.held_out) == 4000
    assert made.read([0])[0].max() == 255


def test_cifar10(real_data):
    made = pack(real_data / "cifar10", DataOptions(limit=3000))
    assert len(made) == 3000 and made.shape == (3, 32, 32) and made.classes[:3] == ("airplane", "automobile", "bird")
    assert made.report["class_column"] == "label" and "parquet" in made.report["layout"]


def test_emoji(real_data):
    made = pack(real_data / "emoji", DataOptions(limit=600, size=72))
    assert made.shape == (3, 72, 72) and made.report["captions"] == 600
    corners = made.read(np.arange(600))[:, 0, 0]
    assert np.median(corners) == 255, "what is transparent is white, not black"
    kept = pack(real_data / "emoji", DataOptions(limit=600, size=72, alpha="keep"))
    assert kept.shape == (4, 72, 72) and kept.read([0])[..., 3].min() == 0


def test_faces(real_data):
    values = scan(real_data / "faces").to_dict()
    assert values["pictures"] == 350 and len(values["classes"]) == 35 and values["sizes"] == {"92x112": 350}
    assert "--size" in values["resizing"]["words"]
    made = pack(real_data / "faces", DataOptions(size=(112, 92)))
    assert made.shape == (1, 112, 92) and len(made.train) == 315 and made.report["resizing"]["shrunk"] == 0


@pytest.mark.parametrize("labels", [None, "skin,hair"])
def test_avatars(real_data, labels):
    made = pack(real_data / "avatars", DataOptions(limit=1500, labels=labels))
    assert made.shape == (3, 64, 64) and len(made.attributes) == 10
    assert made.classes == (("brown", "dark", "light", "pale", "tanned") if labels else ())
    for i in (0, 700, 1499):
        skin = made.attributes["skin"][made.labels([i], "skin")[0]]
        assert f"{skin} skin" in made.caption(i)
