"""What the importers of volumes must not take for something else, nor lose without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from made_series import Made, enhanced_dataset, save, slice_dataset
from pydicom.dataset import Dataset

from radloop.cases.importing import ImportReport
from radloop.cases.scans.dicom import channel_of, import_dicom
from radloop.cases.scans.nifti import import_nifti
from radloop.cases.table import read_cases
from radloop.errors import InputError
from radloop.images.scans import read_image
from radloop.images.segmentation import Segment, write_segmentation
from radloop.images.volumes.series import find_series

_CODE = ("X", "99TEST", "x")


def write_mr(
    folder: Path,
    series: str,
    description: str,
    *,
    study: str = "1.2.1",
    slices: int = 6,
    modality: str = "MR",
    edit: Callable[[Dataset], None] | None = None,
) -> None:
    made = Made(gaps=(2.5,) * (slices - 1))
    for k in range(slices):
        dataset = slice_dataset(made, k, series)
        dataset.SeriesDescription, dataset.Modality = description, modality
        dataset.StudyInstanceUID, dataset.PatientID = study, f"patient-{study}"
        dataset.FrameOfReferenceUID = "1.2.3.4"
        if edit is not None:
            edit(dataset)
        save(dataset, folder / f"{series}-{k}.dcm")


def noted(report: ImportReport) -> dict[str, tuple[str, ...]]:
    return {note.code: note.names for note in report.notes}


def test_a_scout_beside_a_volume_is_noted(tmp_path: Path) -> None:
    def scout(dataset: Dataset) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    write_mr(tmp_path / "in", "a", "FLAIR")
    write_mr(tmp_path / "in", "s", "scout", slices=1, edit=scout)
    report = import_dicom(tmp_path / "in", out=tmp_path / "cases.csv")
    assert noted(report) == {"objects_left_out": ("s-0.dcm: localizer",)}


def test_ct_alone_is_a_plain_image_and_beside_mr_a_channel(tmp_path: Path) -> None:
    write_mr(tmp_path / "in/x", "a", "head", study="1.2.1", modality="CT")
    import_dicom(tmp_path / "in", out=tmp_path / "ct.csv")
    assert "image" in read_cases(tmp_path / "ct.csv").columns
    write_mr(tmp_path / "in/y", "b", "FLAIR", study="1.2.2")
    import_dicom(tmp_path / "in", out=tmp_path / "both.csv")
    both = read_cases(tmp_path / "both.csv")  # a plain image beside a channel would be refused
    assert both.names("image") == ("ct", "flair")


def test_volumes_that_share_a_series_are_noted_since_no_path_names_one(tmp_path: Path) -> None:
    write_mr(tmp_path / "in/adc", "c", "ADC")
    for b in (0, 1000):

        def diffusion(dataset: Dataset, b: int = b) -> None:
            dataset.DiffusionBValue = float(b)
            dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{b}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

        write_mr(tmp_path / f"in/dwi{b}", "a", "ep2d_diff_TRACEW", edit=diffusion)
    report = import_dicom(tmp_path / "in", out=tmp_path / "cases.csv")
    (case,) = read_cases(tmp_path / "cases.csv").cases
    assert list(case.images) == ["adc"]
    assert not read_image(case.image).verdict.refused
    assert [name.split(" (")[0] for name in noted(report)["series_of_several_volumes"]] == [
        "MR ep2d_diff_TRACEW b-value 0.0",
        "MR ep2d_diff_TRACEW b-value 1000.0",
    ]


def test_of_two_series_the_one_with_more_slices_counts_whatever_its_files(tmp_path: Path) -> None:
    frames = enhanced_dataset(Made(gaps=(2.5,) * 19), range(20))
    save(frames, tmp_path / "in" / "one-file.dcm")
    write_mr(tmp_path / "in", "a", "small", study=frames.StudyInstanceUID, slices=5, modality="CT")
    report = import_dicom(tmp_path / "in", out=tmp_path / "cases.csv")
    assert noted(report) == {"series_doubled": ("CT small (5 slices)",)}


@pytest.mark.parametrize(
    ("description", "channel"),
    [
        ("AX T1 FLAIR", "t1"),
        ("t1_tirm_dark-fluid", "t1"),
        ("T2 FLAIR", "flair"),
        ("t2_tse_tra", "t2"),
        ("T2* GRE", None),
        ("ep2d_diff_TRACEW", "dwi"),
        ("ep2d_diff_ADC", "adc"),
        ("ep2d_diff_FA", None),
        ("Exponential ADC", None),
        ("relCBV", "cbv"),
        ("T1 post gad", "t1c"),
        ("localiser", None),
    ],
)
def test_what_a_description_says(tmp_path: Path, description: str, channel: str | None) -> None:
    write_mr(tmp_path, "a", description, slices=3)
    assert channel_of(find_series([tmp_path]).series[0]) == channel


def test_segments_of_one_name_are_noted(tmp_path: Path) -> None:
    write_mr(tmp_path / "in", "a", "FLAIR")
    (series,) = find_series([tmp_path / "in"]).series
    assert series.layout is not None
    labels = np.zeros(series.layout.planes.shape, np.uint8)
    labels[1, 2:5, 2:5] = 1
    for name in ("one", "two"):
        segment = [Segment("Lesion", _CODE, _CODE)]
        path = tmp_path / "in" / f"seg-{name}.dcm"
        write_segmentation(labels, series.layout.slices, segment, path)
    alike = [Segment("Old lesion", _CODE, _CODE), Segment("old-lesion", _CODE, _CODE)]
    write_segmentation(labels, series.layout.slices, alike, tmp_path / "in" / "seg.dcm")
    report = import_dicom(tmp_path / "in", out=tmp_path / "cases.csv")
    assert list(report.table.cases[0].reference.masks) == ["lesion"]
    assert list(noted(report)) == ["masks_doubled"]
    doubled = {"seg.dcm: old_lesion", "seg-two.dcm: lesion"}
    assert set(noted(report)["masks_doubled"]) == doubled


def test_an_import_of_nothing_says_what_was_left_out(tmp_path: Path) -> None:
    write_mr(tmp_path / "in", "a", "sequence 7")
    with pytest.raises(InputError, match="sequence 7"):
        import_dicom(tmp_path / "in", out=tmp_path / "cases.csv")


# --- NIfTI ------------------------------------------------------------------------------------


def apart(tmp_path: Path, mask: nib.Nifti1Image) -> tuple[str, ...]:
    """What is noted of a mask on a cube of 5 voxels."""
    folder = tmp_path / "in"
    folder.mkdir()
    nib.save(nib.Nifti1Image(np.zeros((5, 5, 5), np.uint8), np.eye(4)), folder / "a_dwi.nii")
    nib.save(mask, folder / "a_msk.nii")
    report = import_nifti(
        folder, {"dwi": "{case}_dwi.nii"}, {"lesion": "{case}_msk.nii"}, out=tmp_path / "c.csv"
    )
    return noted(report).get("mask_on_no_channels_grid", ())


def test_a_mask_stored_the_other_way_lies_on_the_grid(tmp_path: Path) -> None:
    mask = nib.Nifti1Image(np.zeros((5, 5, 5), np.uint8), np.eye(4))
    assert not apart(tmp_path, mask.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]])))


def test_a_mask_turned_about_the_diagonal_does_not(tmp_path: Path) -> None:
    from scipy.spatial.transform import Rotation

    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_rotvec(np.full(3, 0.4)).as_matrix()
    mask = nib.Nifti1Image(np.zeros((5, 5, 5), np.uint8), turned)
    assert apart(tmp_path, mask) == ("a (lesion)",)
