"""Pictures in hand: sheets, files, and what the files say about themselves."""

import json
import re
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from limner.errors import UserError
from limner.pictures import NpzWriter, PictureFolder, Pictures, grid, image, write_png
from limner.provenance import parameters, read_png

# How programs for diffusion models take the last line apart.
PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def some(n=6, height=5, width=7, channels=3, labels=False, **about):
    pixels = np.random.default_rng(0).integers(0, 256, (n, height, width, channels), dtype=np.uint8)
    known = {"seed": 5, "recipe": "flow", "run": "flow-0001", "weights": "ab" * 32, "options": {"steps": 20}} | about
    codes = np.arange(n)[:, None] % 3 if labels else None
    return Pictures(pixels, list(range(n)), codes, [("cat", "dog", "new, old: x")] if labels else (), known)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_grid_shows_every_picture_whole(channels):
    pixels = some(5, channels=channels).pixels
    sheet = grid(pixels, columns=3, zoom=2)
    assert sheet.shape == (2 + 2 * (10 + 2), 2 + 3 * (14 + 2), channels)
    for i, picture in enumerate(pixels):
        top, left = 2 + i // 3 * 12, 2 + i % 3 * 16
        for dy in range(2):
            for dx in range(2):
                assert (sheet[top + dy : top + 10 : 2, left + dx : left + 14 : 2] == picture).all()
    assert (sheet[14:, 2 + 2 * 16 :] == 255).all(), "the empty place is white"


def test_a_grid_is_square_and_tiny_pictures_are_enlarged():
    assert grid(some(64, 8, 8).pixels).shape[:2] == (2 + 8 * 50, 2 + 8 * 50)
    assert grid(some(64, 64, 64).pixels).shape[:2] == (2 + 8 * 66, 2 + 8 * 66)
    assert grid(some(2).pixels, columns=8, zoom=1).shape[1] == 2 + 2 * 9
    with pytest.raises(UserError, match="0 pictures"):
        grid(some(6).pixels[:0])


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_files_have_the_very_pixels(tmp_path, channels, mode):
    pixels = some(1, channels=channels).pixels[0]
    write_png(tmp_path / "one.png", pixels, {})
    found = Image.open(tmp_path / "one.png")
    assert found.mode == mode == image(pixels).mode
    assert (np.asarray(found).reshape(pixels.shape) == pixels).all()


def test_a_folder_of_pictures(tmp_path):
    pictures = some(7, labels=True)
    folder = pictures.save(tmp_path / "out")
    assert [path.name for path in sorted(folder.glob("*.png"))] == [f"{i:06d}.png" for i in range(7)]
    assert (np.asarray(Image.open(folder / "000003.png")) == pictures.pixels[3]).all()
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert lines[1] == {"file_name": "000001.png", "label": "dog"}
    assert not [path for path in folder.iterdir() if "partial" in path.name]


def test_files_say_how_they_were_made(tmp_path):
    options = {"steps": 20, "solver": "heun", "guidance": 2.5, "interval": [0.0, 1.0]}
    pictures = some(3, labels=True, options=options)
    folder = pictures.save(tmp_path)
    info = Image.open(folder / "000002.png").info
    asked, last = info["parameters"].split("\n")
    found = dict(PAIR.findall(last))
    assert asked == "new, old: x"
    assert (
        found["Steps"] == "20" and found["Sampler"] == "Heun" and found["CFG scale"] == "2.5" and found["Seed"] == "5"
    )
    assert found["Size"] == "7x5" and found["Model"] == "flow-0001" and found["Model hash"] == "ababababab"
    assert found["Index"] == "2" and found["Recipe"] == "flow" and json.loads(found["Interval"]) == "[0.0, 1.0]"
    assert last.startswith("Steps: ")
    record = read_png(folder / "000002.png")
    assert record["options"] == options and record["index"] == 2 and record["label"] == "new, old: x"


def test_files_say_that_a_model_made_them(tmp_path):
    xmp = Image.open(some(1).save(tmp_path) / "000000.png").info["XML:com.adobe.xmp"]
    (description,) = ElementTree.fromstring(xmp).iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    kind = description.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert kind == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def test_one_step_generators_have_steps_too():
    assert parameters({"recipe": "dcgan", "seed": 1}).startswith("Steps: 1, Seed: 1")


def test_reading_a_foreign_png(tmp_path):
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="how it was made"):
        read_png(tmp_path / "a.png")


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="not empty"):
        some().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UserError, match="is a file"):
        some().save(tmp_path / "mine.txt")


def test_a_folder_of_another_seed_is_refused(tmp_path):
    some(4).save(tmp_path / "a")
    some(6).save(tmp_path / "a")  # more of the same is welcome
    assert len(list((tmp_path / "a").glob("*.png"))) == 6
    with pytest.raises(UserError, match="another model, seed or options"):
        some(4, seed=6).save(tmp_path / "a")


def test_what_is_missing_from_a_folder(tmp_path):
    pictures = some(5)
    pictures.save(tmp_path / "a")
    (tmp_path / "a" / "000003.png").unlink()
    assert PictureFolder(tmp_path / "a", pictures.about).missing(range(7)) == [3, 5, 6]


@pytest.mark.parametrize("channels", [1, 3])
def test_npz(tmp_path, channels):
    pictures = some(6, channels=channels, labels=True)
    path = pictures.save_npz(tmp_path / "deep" / "set.npz")
    with np.load(path) as found:
        assert found["x"].dtype == np.uint8 and found["y"].dtype == np.int64
        assert found["x"].shape == ((6, 5, 7) if channels == 1 else (6, 5, 7, 3))
        assert (found["x"].reshape(pictures.pixels.shape) == pictures.pixels).all()
        assert found["y"].tolist() == [0, 1, 2, 0, 1, 2]
    assert some(2).save_npz(tmp_path / "plain").name == "plain.npz"
    with np.load(tmp_path / "plain.npz") as found:
        assert list(found) == ["x"]


def test_npz_in_blocks_is_the_same_file_as_at_once(tmp_path):
    pictures = some(6, labels=True)
    with NpzWriter(tmp_path / "b.npz", 6) as file:
        file.write(pictures[:4])
        file.write(pictures[4:])
    pictures.save_npz(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as a, zipfile.ZipFile(tmp_path / "b.npz") as b:
        assert a.namelist() == b.namelist() == ["x.npy", "y.npy"]
        assert all(a.read(name) == b.read(name) for name in a.namelist())


def test_an_interrupted_npz_leaves_what_was_there(tmp_path):
    some(3).save_npz(tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(KeyboardInterrupt), NpzWriter(tmp_path / "a.npz", 6) as file:
        file.write(some(4))
        raise KeyboardInterrupt
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_pictures_in_hand():
    pictures = some(6, labels=True)
    assert len(pictures) == 6 and pictures.numpy() is pictures.pixels
    assert pictures[2].size == (7, 5) and len(list(pictures)) == 6
    part = pictures[4:]
    assert part.indices == [4, 5] and part.label(0) == "dog" and part.record(1)["index"] == 5
    assert pictures._repr_png_().startswith(b"\x89PNG")
    assert repr(pictures) == "<6 pictures of flow-0001, 5x7x3>"
    assert (np.asarray(pictures.grid(3, 1)) == grid(pictures.pixels, 3, 1)).all()
