"""Series of DICOM slices: what is put in order, what is refused, and where it is said to be."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_series import Made, enhanced_dataset, put_pixels, save, slice_dataset, uid, write_series
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from radloop.errors import InputError
from radloop.images.volumes.read import read_volume
from radloop.images.volumes.series import Series, find_series

# pydicom warns of what these tests do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

Edit = Callable[[Dataset, int], None]


def only(folder: Path) -> Series:
    (series,) = find_series([folder]).series
    return series


def test_slices_are_in_order_whatever_their_names_and_numbers(tmp_path):
    def renumber(dataset: Dataset, k: int) -> None:
        dataset.InstanceNumber = (k * 7) % 6

    made = Made()
    write_series(tmp_path, made, renumber)
    layout = only(tmp_path).layout
    assert layout is not None
    for found, true in zip(layout.planes.origins, made.positions, strict=True):
        assert found == pytest.approx(tuple(true))
    assert layout.gaps == pytest.approx(made.gaps)


def test_a_mixed_folder_becomes_its_series(tmp_path):
    write_series(tmp_path / "one", series="a")
    write_series(tmp_path / "one", Made(gaps=(1.0,) * 3), series="b")
    write_series(tmp_path / "two", Made(gaps=(4.0,) * 2), series="c")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "one" / "DICOMDIR").write_bytes(b"\0" * 200)
    scout = slice_dataset(Made(), 0, "a")
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.SOPInstanceUID = uid("scout")
    save(scout, tmp_path / "one" / "scout.dcm")
    screen = slice_dataset(Made(), 0, "a")
    screen.SOPClassUID = screen.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    save(screen, tmp_path / "one" / "screen.dcm")
    report = slice_dataset(Made(), 0, "a")
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(report, keyword)
    report.Modality = "SR"
    save(report, tmp_path / "report.dcm")

    found = find_series([tmp_path])
    assert sorted(len(s.files) for s in found.series) == [3, 4, 6]
    assert {s.verdict.code for s in found.series} == {"ok"}
    others = {
        path.name: verdict.code if verdict else None for path, verdict in found.others.items()
    }
    assert others == {
        "notes.txt": None,
        "scout.dcm": "localizer",
        "screen.dcm": "screenshot",
        "report.dcm": "no_pixels",
    }


def _second_patient(dataset: Dataset, k: int) -> None:
    if k == 3:
        dataset.PatientID = "made-2"


def _other_size(dataset: Dataset, k: int) -> None:
    if k == 3:
        dataset.Rows += 1


def _no_position(dataset: Dataset, k: int) -> None:
    if k == 3:
        del dataset.ImagePositionPatient


def _crooked(dataset: Dataset, k: int) -> None:
    if k == 3:
        dataset.ImageOrientationPatient = [1, 0, 0, 0.2, 1, 0]


def _turned(dataset: Dataset, k: int) -> None:
    if k == 3:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


def _no_spacing(dataset: Dataset, k: int) -> None:
    if k == 3:
        dataset.PixelSpacing = [0, 0.6]


def _other_spacing(dataset: Dataset, k: int) -> None:
    if k == 3:
        dataset.PixelSpacing = [0.8, 0.7]


def _shifted(dataset: Dataset, k: int) -> None:
    if k == 3:
        dataset.ImagePositionPatient[0] += 5


def _repeated(dataset: Dataset, k: int) -> None:
    if k == 3:
        dataset.ImagePositionPatient = slice_dataset(Made(), 2).ImagePositionPatient


def _lut(dataset: Dataset, k: int) -> None:
    if k == 3:
        dataset.ModalityLUTSequence = [Dataset()]


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (_second_patient, "several_patients"),
        (_other_size, "mixed_size"),
        (_no_position, "no_position"),
        (_crooked, "invalid_orientation"),
        (_turned, "mixed_orientation"),
        (_no_spacing, "no_spacing"),
        (_other_spacing, "mixed_spacing"),
        (_shifted, "shifted_slices"),
        (_repeated, "repeated_positions"),
    ],
)
def test_what_does_not_belong_together_is_refused_and_located(tmp_path, edit: Edit, code: str):
    write_series(tmp_path, edit=edit)
    verdict = only(tmp_path).verdict
    assert (verdict.status, verdict.code) == ("refused", code)
    assert re.search(r"lices? 4\b(?!, )", verdict.messages[-1])  # its InstanceNumber, alone
    assert "made-" not in " ".join(verdict.messages)
    assert read_volume(tmp_path).image is None


def test_a_table_of_values_is_refused(tmp_path):
    write_series(tmp_path, edit=_lut)
    found = find_series([tmp_path])
    assert "modality_lut" in {v.code for v in found.others.values() if v}


def test_a_missing_slice_is_located(tmp_path):
    paths = write_series(tmp_path, Made(gaps=(2.5,) * 8))
    paths[4].unlink()
    verdict = only(tmp_path).verdict
    assert verdict.code == "missing_slices"
    assert "1 slice is missing" in verdict.messages[0]
    assert "between slices 4 and 6" in verdict.messages[0]


def test_uneven_gaps_are_named_in_runs(tmp_path):
    write_series(tmp_path, Made(gaps=(4.22,) * 4 + (1.14,) + (7.38,) * 3, tilt=-18.5))
    verdict = only(tmp_path).verdict
    assert verdict.code == "uneven_gaps"
    text = " ".join(verdict.messages)
    assert "lean 18.5 degrees" in text
    for gap in ("4.22 mm from slice 1 to 5", "1.14 mm from slice 5 to 6", "7.38 mm from slice 6"):
        assert gap in text


def test_positions_rounded_by_the_scanner_are_even(tmp_path):
    def rounded(dataset: Dataset, k: int) -> None:
        dataset.ImagePositionPatient = [round(float(v), 1) for v in dataset.ImagePositionPatient]

    write_series(tmp_path, Made(gaps=(0.625,) * 40), rounded)
    series = only(tmp_path)
    assert series.verdict.code == "ok"
    reading = read_volume(tmp_path)
    assert reading.image is not None
    assert reading.image.geometry.spacing == pytest.approx((0.625, 0.8, 0.6), abs=2e-3)


def test_the_same_file_twice_counts_once(tmp_path):
    paths = write_series(tmp_path)
    shutil.copy(paths[2], tmp_path / "again.dcm")
    verdict = only(tmp_path).verdict
    assert (verdict.status, verdict.code) == ("warned", "duplicate_files")
    reading = read_volume(tmp_path)
    assert reading.image is not None
    assert reading.image.array.shape[0] == 6


def test_a_stated_tilt_that_the_positions_do_not_show_is_noted(tmp_path):
    def tilted(dataset: Dataset, k: int) -> None:
        dataset.GantryDetectorTilt = 12

    write_series(tmp_path, edit=tilted)
    verdict = only(tmp_path).verdict
    assert verdict.status == "accepted"
    assert "+12.0 degrees" in verdict.messages[0]


def test_two_echoes_of_one_series_are_told_apart(tmp_path):
    def echo(time: float) -> Edit:
        def edit(dataset: Dataset, k: int) -> None:
            dataset.EchoTime, dataset.Modality = time, "MR"
            dataset.SOPInstanceUID = uid("echo", time, k)
            dataset.SeriesInstanceUID = uid("both")

        return edit

    write_series(tmp_path / "1", edit=echo(20))
    write_series(tmp_path / "2", edit=echo(80))
    found = find_series([tmp_path]).series
    assert [s.volume for s in found] == ["echo time 20.0", "echo time 80.0"]
    assert {s.verdict.code for s in found} == {"several_volumes"}
    assert all(s.layout is not None and len(s.layout.slices) == 6 for s in found)
    reading = read_volume(tmp_path)
    assert reading.verdict.code == "several_series"


def test_a_single_slice_is_no_volume(tmp_path):
    write_series(tmp_path, Made(gaps=()))
    assert only(tmp_path).verdict.code == "single_slice"


@pytest.mark.parametrize("damage", ["zero", "header", "pixels"])
def test_a_damaged_slice_is_never_left_out_silently(tmp_path, damage: str):
    path = write_series(tmp_path)[3]
    data = path.read_bytes()
    length = {"zero": 0, "header": 700, "pixels": len(data) - 60}[damage]
    path.write_bytes(data[:length])
    reading = read_volume(tmp_path)
    if damage == "zero":  # nothing tells that it was one of the slices, but its gap does
        assert reading.verdict.code == "missing_slices"
        assert find_series([tmp_path]).others[path].code == "empty_file"
    elif damage == "header":
        assert reading.verdict.refused
    else:
        assert reading.verdict.code == "truncated"


def test_a_film_is_no_volume(tmp_path):
    def film(dataset: Dataset, k: int) -> None:
        dataset.Modality = "CR"

    write_series(tmp_path, edit=film)
    reading = read_volume(tmp_path)
    assert reading.verdict.code == "no_series"
    assert "film" in reading.verdict.messages[0]


def test_frames_that_are_not_described_are_refused(tmp_path):
    dataset = enhanced_dataset(Made(), range(6))
    del dataset.PerFrameFunctionalGroupsSequence[0]
    save(dataset, tmp_path / "enhanced.dcm")
    assert find_series([tmp_path]).series[0].verdict.code == "missing_header"


def test_plain_frames_without_positions_are_refused(tmp_path):
    dataset = slice_dataset(Made(), 0)
    put_pixels(dataset, np.zeros((3, 11, 13), np.int16))
    dataset.NumberOfFrames = 3
    path = save(dataset, tmp_path / "frames.dcm")
    verdict = find_series([tmp_path]).others[path]
    assert verdict is not None
    assert verdict.code == "multi_frame"


def test_a_mosaic_without_its_private_header_is_refused(tmp_path):
    def mosaic(dataset: Dataset, k: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]

    (path,) = write_series(tmp_path, Made(gaps=()), mosaic)
    verdict = find_series([tmp_path]).others[path]
    assert verdict is not None
    assert verdict.code == "mosaic"


def test_a_missing_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no 'nowhere'"):
        find_series([tmp_path / "nowhere"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_slice_with_wrong_bytes_gets_a_verdict(tmp_path, data):
    """Found by fuzzing: a decoder in Rust panics below `Exception`, a value may not be parsed."""
    dataset = slice_dataset(Made(), 0)
    if data.draw(st.booleans()):
        dataset.compress("1.2.840.10008.1.2.5")
    path = save(dataset, tmp_path / "a.dcm")
    save(slice_dataset(Made(), 1), tmp_path / "b.dcm")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    reading = read_volume(tmp_path, even_out=True)
    assert (reading.image is None) == reading.verdict.refused
