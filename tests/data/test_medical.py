"""Scans become slices with their values as a doctor would see them, and carry nothing that names a patient."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_pictures import aside

from limner.data import DataOptions, pack, scan
from limner.errors import UserError


@pytest.fixture
def dicoms():
    """Real DICOM files."""
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: limner[medical]")
    return Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture
def niftis():
    """Real NIfTI files."""
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed: limner[medical]")
    found = Path(nibabel.__file__).parent / "tests" / "data"
    if not (found / "anatomical.nii").exists():
        pytest.skip("this nibabel comes without its sample files")
    return found


def sixteen(path, **options):
    """(n, H, W) of a packed file."""
    packed = pack(path, DataOptions(depth=16, **{"size": 64, **options}))
    assert packed.depth == 16
    return packed.read(np.arange(len(packed)))[..., 0]


def test_ct_is_rescaled_and_16_bits_are_kept(dicoms, tmp_path):
    import pydicom

    path = dicoms / "CT_small.dcm"
    stored = pydicom.dcmread(path).pixel_array.astype(float) - 1024  # its rescale intercept
    whole = sixteen(path, size=128)[0].astype(float)
    expected = (stored - stored.min()) / np.ptp(stored) * 65535
    assert np.abs(whole - expected).max() <= 0.51 and len(np.unique(whole)) > 1000
    brain = sixteen(path, size=128, window="40,400")[0].astype(float)
    assert np.abs(brain - np.clip((stored + 160) / 400, 0, 1) * 65535).max() <= 0.51
    full = sixteen(path, size=128, window="full")[0].astype(int)
    assert (full == stored.astype(int) + 1024 + 32768).all(), "16 stored bits are 16 packed bits"
    eight = pack(path, DataOptions(size=128)).read([0])[0, ..., 0]
    assert eight.dtype == np.uint8 and np.abs(eight - expected / 257).max() <= 0.51


def test_the_files_own_window_is_applied(dicoms):
    import pydicom

    stored = pydicom.dcmread(dicoms / "MR_small.dcm")
    center, width = float(stored.WindowCenter), float(stored.WindowWidth)
    expected = np.clip((stored.pixel_array - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * 65535
    assert np.abs(sixteen(dicoms / "MR_small.dcm")[0] - expected).max() <= 0.51
    assert (sixteen(dicoms / "MR_small_RLE.dcm") == sixteen(dicoms / "MR_small.dcm")).all()


def test_white_on_black_whatever_the_file_says(dicoms, tmp_path):
    import pydicom

    data = pydicom.dcmread(dicoms / "MR_small.dcm")
    data.PhotometricInterpretation = "MONOCHROME1"
    data.save_as(tmp_path / "turned.dcm")
    assert (sixteen(tmp_path / "turned.dcm") == 65535 - sixteen(dicoms / "MR_small.dcm")).all()


def test_frames_and_colours(dicoms):
    film = pack(dicoms / "examples_ybr_color.dcm", DataOptions(size=64))
    assert len(film) == 30 and film.shape[0] == 3
    assert len(film.train) and len(film.held_out)
    assert len(pack(dicoms / "examples_palette.dcm", DataOptions(size=64))) == 1
    assert pack(dicoms / "SC_rgb_rle_2frame.dcm", DataOptions(size=50)).read([0, 1]).max() == 255
    doses = sixteen(dicoms / "rtdose.dcm", size=10)
    assert doses.shape == (15, 10, 10) and doses.max() == 65535 and doses.min() == 0
    clips = pack(dicoms / "rtdose.dcm", DataOptions(frames=5, depth=16))
    assert clips.frames == 5 and clips.clips(clips.train).shape[1:] == (5, 10, 10, 1)


def test_nothing_names_the_patient(dicoms, tmp_path):
    import pydicom

    root = tmp_path / "ward"
    for number, patient in enumerate(("Doe^Jane", "Doe^Jane", "Roe^Richard", "Poe^Edgar", "Moe^Ann", "Zoe^Eve")):
        data = pydicom.dcmread(dicoms / "MR_small.dcm")
        data.PatientName, data.PatientID, data.PatientBirthDate = patient, f"ID-{patient}", "19600102"
        data.PixelData = (data.pixel_array + number * 9).astype(np.int16).tobytes()
        (root / patient).mkdir(parents=True, exist_ok=True)
        data.save_as(root / patient / f"{patient}-{number}.dcm")
    (root / "Roe^Richard" / "Roe-broken.dcm").write_bytes(b"Roe" * 100)
    packed = pack(root, DataOptions(), tmp_path / "out")
    written = b"".join(path.read_bytes() for path in sorted((tmp_path / "out").rglob("*")) if path.is_file())
    words = ("Doe", "Roe", "Poe", "Moe", "Zoe", "Jane", "Richard", "19600102")
    assert not [word for word in words if word.encode() in written]
    said = json.dumps(packed.report)
    assert not [word for word in words if word in said] and "--labels folder" in said
    assert not packed.classes
    whose = packed.table["scan"].to_numpy()
    assert len(set(whose)) == 5 and whose[0] == whose[1], "two scans of one patient belong together"
    assert not set(whose[packed.train]) & set(whose[packed.held_out])
    assert len(pack(root, DataOptions(labels="folder")).classes) == 5


def test_a_volume_is_cut_along_the_body(niftis):
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.load(niftis / "anatomical.nii"))
    values = np.asarray(image.dataobj)
    low, high = values.min(), values.max()
    for axis, name in enumerate(("sagittal", "coronal", "axial")):
        height, width = np.rot90(np.take(values, 0, axis)).shape
        found = sixteen(niftis / "anatomical.nii", slices=name, size=(height, width))
        assert found.shape == (values.shape[axis], height, width)
        expected = np.stack([np.rot90(np.take(values, i, axis)) for i in range(values.shape[axis])])
        assert np.abs(found - (expected - low) / (high - low) * 65535).max() <= 0.51
    assert (sixteen(niftis / "anatomical.nii") == sixteen(niftis / "anatomical.nii", slices="axial")).all()


def test_a_series_of_volumes_and_a_folder_of_subjects(niftis, tmp_path):
    import nibabel

    series = nibabel.load(niftis / "functional.nii")
    assert len(pack(niftis / "functional.nii", DataOptions(size=16))) == series.shape[2] * series.shape[3]
    for subject in ("sub-01", "sub-02", "sub-03"):
        for session in ("a", "b"):
            place = tmp_path / "study" / subject
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(niftis / "anatomical.nii", place / f"{session}.nii")
    packed = pack(tmp_path / "study", DataOptions(size=32))
    assert len(set(packed.table["scan"].to_numpy())) == 3
    shapes = pack(tmp_path / "study", DataOptions(size=32, stride=5))
    assert len(shapes) == 6 * -(-(len(packed) // 6) // 5)


def test_what_cannot_be_used_is_set_aside_with_a_reason(dicoms, tmp_path):
    for name in ("MR_small.dcm", "MR_truncated.dcm", "rtplan.dcm", "JPGExtended.dcm"):
        shutil.copy(dicoms / name, tmp_path / name)
    reasons = list(aside(scan(tmp_path, DataOptions(size=32))).values())
    assert len(reasons) == 3
    assert any("no pictures" in reason for reason in reasons) and any("truncated" in reason for reason in reasons)
    assert any("no decoder" in reason and "JPEG Extended" in reason for reason in reasons)


def test_dicom_files_without_an_ending_are_recognised(dicoms, tmp_path):
    for number in range(3):
        shutil.copy(dicoms / "MR_small.dcm", tmp_path / f"IM{number:04d}")
    assert scan(tmp_path).to_dict()["layout"] == "3 DICOM files"


def test_mistakes_are_said_in_one_line(dicoms, tmp_path):
    with pytest.raises(UserError, match="impossible window"):
        DataOptions(window="40")
    with pytest.raises(UserError, match="impossible window"):
        DataOptions(window="40,0")
    with pytest.raises(UserError, match="unknown direction"):
        DataOptions(slices="axail")
    with pytest.raises(UserError, match="--window is for medical scans"):
        pack("digits", DataOptions(window="full"))
    with pytest.raises(UserError, match="slices of DICOM files are taken as stored"):
        pack(dicoms / "MR_small.dcm", DataOptions(slices="coronal"))


@pytest.mark.parametrize(("library", "name"), [("pydicom", "a.dcm"), ("nibabel", "a.nii.gz")])
def test_the_extra_is_named_where_it_is_missing(tmp_path, monkeypatch, library, name):
    (tmp_path / name).write_bytes(bytes(400))
    monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(UserError, match=rf"{library}.*limner\[medical\]"):
        pack(tmp_path / name)
