"""Whatever Pillow opens becomes the right pixels; whatever it cannot open is set aside with a reason."""

import io
import zlib

import numpy as np
import pytest
from made_pictures import aside, folder, picture, pixels
from PIL import Image, PngImagePlugin

from limner.data import DataOptions, pack, scan
from limner.data.decode import MAX_PIXELS
from limner.errors import UserError


def packed_one(tmp_path, image, ending, **options):
    """The one picture of a folder as it is packed, and the report."""
    (tmp_path / "one").mkdir()
    image.save(tmp_path / "one" / f"a.{ending}")
    made = pack(tmp_path / "one", DataOptions(**options))
    return made.read([0])[0], made


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("1", "png"), ("L", "png"), ("RGB", "bmp"), ("P", "gif"), ("CMYK", "tiff"), ("YCbCr", "tiff"), ("LAB", "tiff")],
)
def test_opaque_modes_agree_with_pillow(tmp_path, mode, ending):
    image = picture(3).convert("L").convert(mode) if mode in ("1", "L") else picture(3)
    image = image.quantize(16) if mode == "P" else image
    if mode == "LAB":
        from PIL import ImageCms

        change = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        image = ImageCms.applyTransform(image, change)
    else:
        image = image.convert(mode) if mode not in ("P",) else image
    found, made = packed_one(tmp_path, image, ending)
    assert list(made.report["modes"]) == [mode]
    wanted = image.convert("L" if mode in ("1", "L") else "RGB")
    assert np.array_equal(found.squeeze(), np.asarray(wanted))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "RGB"])
def test_transparency_is_laid_on_white_or_kept(tmp_path, mode):
    image = picture(1, mode="RGBA")
    alpha = np.zeros((24, 24), np.uint8)
    alpha[:, 12:] = 255
    if mode in ("RGBA", "LA", "PA"):
        image.putalpha(Image.fromarray(alpha))
    if mode == "LA":
        image = image.convert("LA")
    if mode == "P":  # one transparent entry of the palette
        image = Image.fromarray((alpha > 0).astype(np.uint8), mode="L").convert("P")
        image.putpalette([10, 20, 30, 40, 50, 60] + [0] * 762)
        image.info["transparency"] = 0
    if mode == "RGB":  # one transparent colour
        image = Image.fromarray(np.where(alpha[..., None] > 0, pixels(1) // 2 + 100, np.uint8(7)).astype(np.uint8))
    ending = "tiff" if mode == "PA" else "png"
    if mode == "PA":
        ending, image = "png", image.convert("RGBA")
    (tmp_path / "one").mkdir()
    image.save(tmp_path / "one" / f"a.{ending}", **({"transparency": (7, 7, 7)} if mode == "RGB" else {}))
    composite = pack(tmp_path / "one", DataOptions()).read([0])[0]
    assert (composite[:, :12] == 255).all()
    assert (composite[:, 12:] != 255).any()
    kept = pack(tmp_path / "one", DataOptions(alpha="keep"))
    assert kept.shape == (4, 24, 24)
    assert np.array_equal(kept.read([0])[0][..., 3], alpha)
    assert "RGBA" in kept.report["modes"] or mode in kept.report["modes"]


def test_half_transparent_pixels_are_mixed_with_white(tmp_path):
    image = Image.new("RGBA", (16, 16), (200, 0, 100, 128))
    found, _ = packed_one(tmp_path, image, "png")
    share = 128 / 255
    assert np.abs(found[0, 0] - (np.array([200, 0, 100]) * share + 255 * (1 - share))).max() <= 1


def test_opaque_alpha_adds_no_channel(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    for i in range(4):
        picture(i, mode="RGBA").save(root / f"{i}.png")
    assert pack(root, DataOptions(alpha="keep")).shape == (3, 24, 24)


def test_a_late_transparent_picture_is_not_missed(tmp_path):
    root = folder(tmp_path / "set", 200)
    image = picture(500, mode="RGBA")
    image.putalpha(60)
    image.save(root / "101b.png")
    made = pack(root, DataOptions(alpha="keep"))
    assert made.shape == (4, 24, 24)
    clear = made.read(np.arange(len(made)))[..., 3].min((1, 2))
    assert [made.file(i) for i in np.flatnonzero(clear < 255)] == ["101b.png"]


def test_a_late_coloured_picture_is_not_missed(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    for i in range(150):
        picture(i, mode="L").save(root / f"{i:03d}.png")
    picture(999).save(root / "071b.png")
    made = pack(root)
    assert made.shape == (3, 24, 24)
    row = [made.file(i) for i in range(len(made))].index("071b.png")
    assert np.array_equal(made.read([row])[0], pixels(999))


def test_grey_pictures_in_colour_files_need_one_channel(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    for i in range(5):
        picture(i, mode="L").convert("RGB").save(root / f"{i}.png")
    made = pack(root)
    assert made.shape == (1, 24, 24)
    assert np.array_equal(made.read([3])[0][..., 0], np.asarray(picture(3, mode="L")))
    assert pack(root, DataOptions(channels=3)).shape == (3, 24, 24)


def test_channels_asked_for(tmp_path):
    root = folder(tmp_path / "set", 3)
    grey = pack(root, DataOptions(channels=1))
    assert np.array_equal(grey.read([2])[0][..., 0], np.asarray(picture(2, mode="L")))
    assert (pack(root, DataOptions(channels="4")).read([0])[..., 3] == 255).all()


DEEP = (np.arange(24 * 24).reshape(24, 24) * 113).astype(np.uint16)


@pytest.mark.parametrize(
    ("values", "ending", "wanted"),
    [
        (DEEP, "png", DEEP),
        (DEEP, "tiff", DEEP),
        (DEEP.astype(np.int32), "tiff", DEEP),
        ((DEEP / 65535).astype(np.float32), "tiff", DEEP),
        ((DEEP // 257).astype(np.float32), "tiff", DEEP // 257 * 257),
        ((DEEP // 257).astype(np.uint8), "png", DEEP // 257 * 257),
    ],
    ids=["png16", "tiff16", "int32", "float-unit", "float-255", "eight-bits"],
)
def test_sixteen_bits_are_kept_where_asked(tmp_path, values, ending, wanted):
    found, made = packed_one(tmp_path, Image.fromarray(values), ending, depth=16)
    assert found.dtype == np.uint16 and made.shape == (1, 24, 24) and made.depth == 16
    assert np.abs(found[..., 0].astype(int) - wanted).max() <= 1
    eight = pack(tmp_path / "one").read([0])[0][..., 0]
    assert np.abs(eight.astype(float) - wanted / 257).max() <= 0.51


def test_depth_16_refuses_colours(tmp_path):
    with pytest.raises(UserError, match=r"grey.*'000\.png'.*--channels 1"):
        pack(folder(tmp_path / "set", 2), DataOptions(depth=16))
    assert pack(tmp_path / "set", DataOptions(depth=16, channels=1)).shape == (1, 24, 24)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tiff", "webp"])
def test_exif_orientation_is_applied(tmp_path, orientation, ending):
    upright = Image.fromarray(np.kron(np.array([[0, 80, 160], [240, 200, 120]], np.uint8), np.ones((10, 8), np.uint8)))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # transpositions that undo each orientation
    stored = upright.transpose(Image.Transpose(back[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "one").mkdir()
    lossless = {"webp": {"lossless": True}, "jpg": {"quality": 100}}.get(ending, {})
    stored.convert("RGB").save(tmp_path / "one" / f"a.{ending}", exif=exif, **lossless)
    made = pack(tmp_path / "one")
    assert made.shape[1:] == (20, 24)
    assert np.abs(made.read([0])[0].astype(int)[..., 0] - np.asarray(upright)).max() <= 4
    assert ("EXIF" in " ".join(made.report["notes"])) == (orientation > 1 and ending != "tiff")


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tiff"])
def test_the_first_frame_of_an_animation_is_taken(tmp_path, ending):
    (tmp_path / "one").mkdir()
    first, second = Image.new("RGB", (16, 16), (255, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 255))
    extra = {"lossless": True} if ending == "webp" else {}
    first.save(tmp_path / "one" / f"a.{ending}", save_all=True, append_images=[second], **extra)
    made = pack(tmp_path / "one")
    assert made.read([0])[0][8, 8].tolist() == [255, 0, 0]
    assert any("first frame" in note for note in made.report["notes"])


def bomb() -> bytes:
    """A whole PNG that promises more pixels than anybody has memory for."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = int(MAX_PIXELS**0.5) * 2
    header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_bad_files_are_set_aside_and_never_stop_a_run(tmp_path):
    root = folder(tmp_path / "set", 30)
    whole = io.BytesIO()
    picture(1, (64, 64)).save(whole, "JPEG")
    for name, data in {
        "broken.png": b"\x89PNG\r\n\x1a\n" + b"rubbish" * 40,
        "truncated.jpg": whole.getvalue()[: len(whole.getvalue()) // 2],
        "empty.png": b"",
        "gigantic.png": bomb(),
        "text.png": b"this is no picture",
        "notes.txt": b"hello",
        "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
    }.items():
        (root / name).write_bytes(data)
    made = pack(root)
    found = aside(made.report)
    assert len(made) == 30
    assert set(found) == {
        "broken.png",
        "truncated.jpg",
        "empty.png",
        "gigantic.png",
        "text.png",
        "notes.txt",
        "script.eps",
    }
    assert "empty" in found["empty.png"] and "gigantic" in found["gigantic.png"]
    assert "truncated" in found["truncated.jpg"] and "not a picture" in found["text.png"]
    assert np.array_equal(made.read([29])[0], pixels(29))  # rows behind the bad ones still are what they were
    assert [made.file(i) for i in (0, 29)] == ["000.png", "029.png"]


def test_a_png_with_a_bomb_of_text_is_set_aside(tmp_path):
    root = folder(tmp_path / "set", 3)
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "x" * (80 << 20), zip=True)
    picture(9).save(root / "chatty.png", pnginfo=info)
    assert list(aside(scan(root))) == ["chatty.png"]


def test_nothing_but_rubbish_is_one_clear_error(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"text")
    with pytest.raises(UserError, match=r"none of the 1 files.*'a\.png': not a picture"):
        pack(tmp_path / "set")
    with pytest.raises(UserError, match="none of the 1 files"):
        pack(tmp_path / "set" / "a.png")
