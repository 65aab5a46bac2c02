"""Volumes of several channels: NIfTI by patterns, DICOM by studies, and their masks."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_series import Made, save, slice_dataset
from pydicom import dcmread
from typer.testing import CliRunner

from radloop.cases.audit import audit
from radloop.cases.case import Case, Reference
from radloop.cases.scans.dicom import import_dicom
from radloop.cases.scans.nifti import import_nifti
from radloop.cases.table import read_cases
from radloop.cases.volume_masks import read_volume_mask, segment_name
from radloop.cli.main import app
from radloop.errors import InputError
from radloop.images import grid
from radloop.images.image import Geometry
from radloop.images.nifti import read_nifti
from radloop.images.segmentation import Segment, write_segmentation
from radloop.images.volumes.series import find_series

AFFINE = np.diag([-2.0, 2, 3, 1])
LESION = np.zeros((6, 5, 4), np.uint8)
LESION[2:4, 1:3, 1] = 1


def volume(path: Path, shape=(6, 5, 4), affine=AFFINE, value=None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(len(str(path))).random(shape, np.float32)
    nib.save(nib.Nifti1Image(data if value is None else value, affine), path)
    return path


@pytest.fixture
def flat(tmp_path) -> Path:
    """Three patients; the third has no FLAIR and no mask."""
    folder = tmp_path / "flat"
    for k in range(3):
        volume(folder / f"sub-{k}_ses-1_dwi.nii.gz")
        volume(folder / f"sub-{k}_ses-1_adc.nii.gz")
        if k < 2:
            volume(folder / f"sub-{k}_ses-1_flair.nii")
            volume(folder / f"sub-{k}_ses-1_msk.nii.gz", value=LESION)
    return folder


CHANNELS = {"dwi": "{case}_dwi.nii.gz", "adc": "{case}_adc.nii.gz", "flair": "{case}_flair.nii"}


def test_files_of_one_case_are_found_by_their_name(flat, tmp_path):
    out = tmp_path / "cases.csv"
    masks = {"lesion": "{case}_msk.nii.gz"}
    report = import_nifti(flat, CHANNELS, masks, r"sub-(\d+)", out=out)
    table = read_cases(out)
    assert [c.case_id for c in table.cases] == [f"sub-{k}_ses-1" for k in range(3)]
    assert [c.patient_id for c in table.cases] == ["0", "1", "2"]
    assert list(table.cases[0].images) == ["dwi", "adc", "flair"]
    assert list(table.cases[2].images) == ["dwi", "adc"]
    assert "lesion" in table.cases[1].reference.masks
    codes = {note.code: note.names for note in report.notes}
    assert codes == {
        "cases_without_channel": ("sub-2_ses-1",), "images_without_mask": ("sub-2_ses-1",)
    }  # fmt: skip
    assert not [p for p in audit(table).problems if p.level == "error"]


def test_the_only_star_names_the_case_without_a_place_for_it(flat, tmp_path):
    report = import_nifti(flat, {"dwi": "*_dwi.nii.gz"}, out=tmp_path / "cases.csv")
    assert [c.case_id for c in report.table.cases] == [f"sub-{k}_ses-1" for k in range(3)]


def test_folders_below_folders_and_a_case_that_stands_twice(tmp_path):
    volume(tmp_path / "in/sub-7/dwi/sub-7_rec-TRACE_dwi.nii.gz")
    volume(tmp_path / "in/sub-7/anat/sub-7_T1w.nii.gz")
    channels = {"dwi": "{case}/dwi/{case}_rec-TRACE*", "t1": "**/{case}_T1w.nii.gz"}
    report = import_nifti(tmp_path / "in", channels, out=tmp_path / "cases.csv")
    (case,) = report.table.cases
    assert case.case_id == "sub-7" and list(case.images) == ["dwi", "t1"]


def test_a_mask_on_no_channels_grid_is_noted(flat, tmp_path):
    volume(flat / "sub-0_ses-1_msk.nii.gz", (7, 5, 4))
    masks = {"lesion": "{case}_msk.nii.gz"}
    report = import_nifti(flat, CHANNELS, masks, out=tmp_path / "cases.csv")
    codes = {note.code: note.names for note in report.notes}
    assert codes["mask_on_no_channels_grid"] == ("sub-0_ses-1 (lesion)",)


def test_a_mask_without_its_image_is_noted(flat, tmp_path):
    volume(flat / "other_msk.nii.gz")
    masks = {"lesion": "{case}_msk.nii.gz"}
    report = import_nifti(flat, CHANNELS, masks, out=tmp_path / "cases.csv")
    assert ("masks_without_image", ("other_msk.nii.gz",)) in [
        (note.code, note.names) for note in report.notes
    ]


@pytest.mark.parametrize(
    ("channels", "patient", "message"),
    [
        ({"dwi": "{case}_nothing.nii.gz"}, None, "No file below flat matches"),
        ({"dwi": "sub-0_ses-1_dwi.nii.gz"}, None, "names one file for all cases"),
        ({"dwi": "{case}_ses-1_*"}, None, "Two files are dwi of sub-0"),
        ({"dwi": "sub-*_*_dwi.nii.gz"}, None, r"which \* names the case"),
        ({}, None, "No channels"),
        ({"dwi": "{case}_dwi.nii.gz"}, "(", "not a regular expression"),
    ],
)
def test_what_cannot_be_imported_says_why(flat, tmp_path, channels, patient, message):
    with pytest.raises(InputError, match=message):
        import_nifti(flat, channels, None, patient, out=tmp_path / "cases.csv")
    assert not (tmp_path / "cases.csv").exists()


def test_there_must_be_a_folder(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        import_nifti(tmp_path / "none", {"dwi": "*"}, out=tmp_path / "cases.csv")


def test_by_command(flat, tmp_path):
    out = tmp_path / "cases.csv"
    command = ["import", "nifti", "--images", str(flat), "--channel", "dwi={case}_dwi.nii.gz",
               "--mask", "{case}_msk.nii.gz", "--out", str(out)]  # fmt: skip
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "3 cases of 3 patients" in done.output
    assert read_cases(out).names("mask") == ("lesion",)


# --- DICOM ------------------------------------------------------------------------------------


def write_mr(folder: Path, series: str, description: str, study: str = "s", slices: int = 6):
    made = Made(gaps=(2.5,) * (slices - 1))
    for k in range(slices):
        dataset = slice_dataset(made, k, series)
        dataset.SeriesDescription, dataset.Modality = description, "MR"
        dataset.StudyInstanceUID = f"1.2.{len(study)}.{sum(map(ord, study))}"
        dataset.PatientID = f"patient-{study}"
        dataset.FrameOfReferenceUID = "1.2.3.4"
        save(dataset, folder / f"{series}-{k}.dcm")
    return made


def test_series_of_a_study_become_its_channels(tmp_path):
    write_mr(tmp_path / "in", "a", "ep2d_diff_TRACEW")
    write_mr(tmp_path / "in", "b", "ep2d_diff_ADC")
    write_mr(tmp_path / "in", "c", "t2_tirm_dark-fluid")
    write_mr(tmp_path / "in", "d", "AX T1 +C", "other")
    write_mr(tmp_path / "in", "e", "localiser")
    write_mr(tmp_path / "in", "f", "DWI small", slices=4)
    report = import_dicom(tmp_path / "in", out=tmp_path / "cases.csv")
    by_patient = {case.patient_id: case for case in read_cases(tmp_path / "cases.csv").cases}
    assert set(by_patient["patient-s"].images) == {"dwi", "adc", "flair"}
    assert set(by_patient["patient-other"].images) == {"t1c"}
    notes = {note.code: " ".join(note.names) for note in report.notes}
    assert "localiser" in notes["series_without_channel"]
    assert "small" in notes["series_doubled"]
    assert not [p for p in audit(report.table).problems if p.level == "error"]


def test_channels_may_be_named_by_expressions(tmp_path):
    write_mr(tmp_path / "in", "a", "sequence 7")
    report = import_dicom(tmp_path / "in", {"t2": "seq.*7"}, out=tmp_path / "cases.csv")
    assert list(report.table.cases[0].images) == ["t2"]
    assert report.table.cases[0].image.name == "in"  # the folder holds this series alone


def test_a_study_without_anything_known_is_an_error(tmp_path):
    write_mr(tmp_path / "in", "a", "sequence 7")
    with pytest.raises(InputError, match="No study below in"):
        import_dicom(tmp_path / "in", out=tmp_path / "cases.csv")
    with pytest.raises(InputError, match="not a regular expression"):
        import_dicom(tmp_path / "in", {"t2": "("}, out=tmp_path / "cases.csv")


def test_a_segmentation_becomes_the_mask_of_its_series(tmp_path):
    write_mr(tmp_path / "in", "a", "FLAIR")
    (series,) = find_series([tmp_path / "in"]).series
    labels = np.zeros(series.layout.planes.shape, np.uint8)
    labels[2:4, 3:6, 4:9] = 1
    private = ("X", "99TEST", "x")
    segment = Segment("Old Lesion", private, private)
    write_segmentation(labels, series.layout.slices, [segment], tmp_path / "in" / "seg.dcm")
    dataset = dcmread(tmp_path / "in" / "seg.dcm")
    assert dataset.Modality == "SEG"
    done = CliRunner().invoke(
        app, ["import", "dicom", str(tmp_path / "in"), "--out", str(tmp_path / "cases.csv")]
    )
    assert done.exit_code == 0, done.output
    (case,) = read_cases(tmp_path / "cases.csv").cases
    assert list(case.reference.masks) == ["old_lesion"]
    from radloop.images.volumes.read import read_volume

    image = read_volume(case.image).image
    np.testing.assert_array_equal(read_volume_mask(case, "old_lesion", image.geometry), labels > 0)
    assert segment_name(" Old Lesion!") == "old_lesion"


# --- masks ------------------------------------------------------------------------------------


def a_mask(path: Path, affine=AFFINE) -> Case:
    data = np.zeros((6, 5, 4), np.uint8)
    data[1:3, 2, 1] = 3
    nib.save(nib.Nifti1Image(data, affine), path)
    return Case("c", "p", {"dwi": path}, reference=Reference(masks={"lesion": path}))


@settings(max_examples=25, deadline=None)
@given(order=st.permutations([0, 1, 2]), flips=st.tuples(*[st.booleans()] * 3))
def test_a_mask_stored_otherwise_is_the_same_in_the_patient(tmp_path_factory, order, flips):
    folder = tmp_path_factory.mktemp("masks")
    case = a_mask(folder / "mask.nii")
    ornt = np.array([[axis, -1 if flip else 1] for axis, flip in zip(order, flips, strict=True)])
    nib.save(nib.load(folder / "mask.nii").as_reoriented(ornt), folder / "image.nii")
    image = read_nifti(folder / "image.nii").image
    found = read_volume_mask(case, "lesion", image.geometry)
    np.testing.assert_array_equal(found, image.array > 0)


def test_rounding_in_headers_moves_nothing(tmp_path):
    case = a_mask(tmp_path / "mask.nii")
    nudged = AFFINE.copy()
    nudged[:3, 3] += 3e-3
    image = read_nifti(volume(tmp_path / "image.nii", affine=nudged)).image
    found = read_volume_mask(case, "lesion", image.geometry)
    assert found.sum() == 2 and found[1, 2, 1]


def test_masks_that_cannot_be_used_name_their_case(tmp_path):
    case = a_mask(tmp_path / "mask.nii")
    image = read_nifti(tmp_path / "mask.nii").image
    with pytest.raises(InputError, match="Case 'c' has no mask 'tumour'"):
        read_volume_mask(case, "tumour", image.geometry)
    far = grid.from_affine(np.diag([2.0, 2, 2, 1]) + 900 * np.eye(4, k=3), (4, 4, 4))
    with pytest.raises(InputError, match="outside"):
        read_volume_mask(case, "lesion", Geometry(*vars(far).values()))
    (tmp_path / "mask.nii").write_bytes(b"nothing")
    with pytest.raises(InputError, match="of case 'c' cannot be read"):
        read_volume_mask(case, "lesion", image.geometry)
