"""Sets that `datasets` reads: splits, classes, captions, pictures; what is missing is named in a line."""

import socket
import sys

import numpy as np
import pytest
from made_pictures import aside, picture, pixels
from made_shards import CLASSES

from limner.data import DataOptions, pack
from limner.data.sources import hub
from limner.errors import UserError

datasets = pytest.importorskip("datasets")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


def saved(path, numbers):
    """Parquet as `datasets` writes it."""
    features = datasets.Features(
        {"img": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES)), "text": datasets.Value("string")}
    )
    rows = {
        "img": [picture(i, (8, 8)) for i in numbers],
        "label": [i % 3 for i in numbers],
        "text": [f"picture {i}" for i in numbers],
    }
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub") / "animals"
    (root / "data").mkdir(parents=True)
    saved(root / "data" / "train-00000-of-00002.parquet", range(30))
    saved(root / "data" / "train-00001-of-00002.parquet", range(30, 50))
    saved(root / "data" / "test-00000-of-00001.parquet", range(50, 62))
    return root


def test_a_set_with_its_splits_classes_and_captions(there):
    made = pack(f"hf:{there}")
    assert made.classes == CLASSES and len(made) == 62 and made.shape == (3, 8, 8)
    assert len(made.train) == 50 and len(made.held_out) + len(made.validation) == 12
    for row in (0, 29, 30, 61):
        assert np.array_equal(made.read([row])[0], pixels(row, (8, 8)))
        assert made.labels([row]) == row % 3 and made.caption(row) == f"picture {row}"
    assert "set of the hub, pictures in column 'img', parts train, test" in made.report["layout"]
    assert made.file(0) == "train 00" and pack(f"hf:{there}").path == made.path


def test_one_split_and_one_that_is_not_there(there):
    made = pack(f"hf:{there}:test")
    assert len(made) == 12 and len(made.held_out)
    with pytest.raises(UserError, match="unknown split 'tset' - did you mean 'test'"):
        pack(f"hf:{there}:tset")
    with pytest.raises(UserError, match="as a stream name its files"):
        pack(f"hf:{there}", DataOptions(stream=True))


def test_a_name_of_the_hub_goes_through_the_library(there, monkeypatch):
    """What the library is asked for, and what its answer becomes; the answer is a set of its own making."""
    asked = []

    def load(name, configuration):
        asked.append((name, configuration))
        return real("parquet", data_files={"validation": str(there / "data" / "test-00000-of-00001.parquet")})

    real = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(pack("hf:zoo/animals")) == 12
    assert len(pack("hf:zoo/animals/small:validation")) == 12
    assert asked == [("zoo/animals", None), ("zoo/animals", "small")]


def test_rows_without_a_picture_are_set_aside(tmp_path):
    rows = {"image": [{"bytes": None, "path": None}, {"bytes": b"no picture", "path": None}], "n": [1, 2]}
    from made_shards import encoded

    rows = {"image": rows["image"] + [{"bytes": encoded(i), "path": None} for i in range(8)], "n": list(range(10))}
    root = tmp_path / "set"
    root.mkdir()
    datasets.Dataset.from_dict(rows).to_parquet(root / "train.parquet")
    made = pack(f"hf:{root}")
    assert len(made) == 8 and aside(made.report) == {"train 0": "no picture in this row", "train 1": "not a picture"}


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (ConnectionError("Couldn't reach 'a/b' on the Hub"), r"cannot reach the hub for 'a/b' \(Couldn't.*network"),
        (datasets.exceptions.DatasetNotFoundError("no"), "there is no set 'a/b' on the hub"),
        (
            ValueError("Config name is missing.\nPick one: x, y"),
            r"Config name is missing. Pick one: x, y.*configuration",
        ),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(raised, line, monkeypatch):
    def fail(*given):
        raise raised

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(UserError, match=line) as caught:
        pack("hf:a/b")
    assert "\n" not in str(caught.value)


def test_names_that_are_none(monkeypatch):
    with pytest.raises(UserError, match="names no set"):
        pack("hf:")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("a folder's name is not looked up"))
    with pytest.raises(UserError, match="there is no folder '/gone/set'"):
        pack("hf:/gone/set")


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"hf:a/b needs datasets, which is not installed: pip install 'limner\[hf\]'"):
        hub.find_hub("hf:a/b")
