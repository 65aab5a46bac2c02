"""DICOM segmentations: the mask comes back to the same millimetres, and validators agree."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from made_series import Made, enhanced_dataset, save, slice_dataset, uid, write_series
from pydicom.dataset import Dataset

from radloop.errors import InputError
from radloop.images import grid
from radloop.images.segmentation import Segment, read_segmentation, write_segmentation
from radloop.images.volume_operations import labels_to_original
from radloop.images.volumes.read import read_volume
from radloop.images.volumes.series import find_series
from radloop.images.volumes.slices import Slice

TISSUE = ("85756007", "SCT", "Tissue")
SEGMENTS = [
    Segment("hematoma", ("49755003", "SCT", "Morphologically Abnormal Structure"), TISSUE),
    Segment("nothing", ("123037004", "SCT", "Anatomical Structure"), TISSUE),
]


def framed(dataset: Dataset, k: int) -> None:
    dataset.FrameOfReferenceUID = uid("frame")


def slices_of(folder: Path) -> tuple[Slice, ...]:
    (series,) = find_series([folder]).series
    assert series.layout is not None
    return series.layout.slices


def marked(shape: tuple[int, int, int]) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    labels[1:3, 2:6, 3:9] = 1
    return labels


@pytest.mark.parametrize("turn", [(0, 0, 0), (25, -10, 40)])
def test_a_mask_returns_to_the_same_millimetres(tmp_path, turn):
    made = Made(turn=turn)
    write_series(tmp_path / "in", made, framed)
    labels = marked((6, 11, 13))
    write_segmentation(labels, slices_of(tmp_path / "in"), SEGMENTS, tmp_path / "out.dcm")
    read = read_segmentation(tmp_path / "out.dcm")
    assert read.verdict.code == "ok"
    assert read.names == ("hematoma", "nothing")
    assert read.series_uid == str(uid("series", "a"))
    assert read.labels is not None
    assert read.geometry is not None
    ours = np.sort(grid.to_patient(np.argwhere(read.labels == 1), read.geometry), axis=0)
    true = np.concatenate([made.points(k)[2:6, 3:9].reshape(-1, 3) for k in (1, 2)])
    np.testing.assert_allclose(ours, np.sort(true, axis=0), atol=1e-4)


def test_every_frame_refers_to_its_slice_in_a_tilted_uneven_series(tmp_path):
    made = Made(gaps=(4.0, 4.0, 1.0, 7.0), tilt=15)
    write_series(tmp_path / "in", made, framed)
    image = read_volume(tmp_path / "in", even_out=True, spacing=(1, 1, 1)).image
    assert image is not None
    labels = np.ones(image.array.shape, np.uint8)
    write_segmentation(
        labels_to_original(labels, image), slices_of(tmp_path / "in"), SEGMENTS, tmp_path / "o.dcm"
    )
    written = pydicom.dcmread(tmp_path / "o.dcm")
    assert written.NumberOfFrames == 5
    for frame in written.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        k = next(k for k in range(5) if uid("a", k) == source)
        np.testing.assert_allclose(position, made.positions[k], atol=1e-4)
    assert read_segmentation(tmp_path / "o.dcm").verdict.code == "uneven_gaps"


def test_frames_of_an_enhanced_object_are_segmented_in_their_order(tmp_path):
    made = Made()
    dataset = enhanced_dataset(made, [3, 0, 5, 1, 4, 2])
    dataset.FrameOfReferenceUID = uid("frame")
    save(dataset, tmp_path / "in" / "e.dcm")
    labels = marked((6, 11, 13))
    write_segmentation(labels, slices_of(tmp_path / "in"), SEGMENTS, tmp_path / "out.dcm")
    read = read_segmentation(tmp_path / "out.dcm")
    assert read.labels is not None
    assert read.geometry is not None
    depth = grid.to_patient(np.argwhere(read.labels == 1), read.geometry)[:, 2]
    assert np.unique(depth.round(3)).tolist() == pytest.approx(made.positions[1:3, 2].tolist())


def test_an_empty_mask_is_written(tmp_path):
    write_series(tmp_path / "in", edit=framed)
    empty = np.zeros((6, 11, 13), np.uint8)
    write_segmentation(empty, slices_of(tmp_path / "in"), SEGMENTS, tmp_path / "out.dcm")
    read = read_segmentation(tmp_path / "out.dcm")
    assert read.labels is not None
    assert not read.labels.any()


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
def test_the_validator_finds_no_error(tmp_path):
    write_series(tmp_path / "in", edit=framed)
    labels = marked((6, 11, 13))
    write_segmentation(labels, slices_of(tmp_path / "in"), SEGMENTS, tmp_path / "out.dcm")
    done = subprocess.run(
        ["dciodvfy", str(tmp_path / "out.dcm")], capture_output=True, text=True, check=False
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert errors == []


def test_wrong_calls_say_what_to_do(tmp_path):
    write_series(tmp_path / "a", edit=framed)
    write_series(tmp_path / "b")
    slices = slices_of(tmp_path / "a")
    good = marked((6, 11, 13))
    with pytest.raises(InputError, match="do not lie on slices"):
        write_segmentation(good[1:], slices, SEGMENTS, tmp_path / "o.dcm")
    with pytest.raises(InputError, match="2 segments are described"):
        write_segmentation(good * 3, slices, SEGMENTS, tmp_path / "o.dcm")
    with pytest.raises(InputError, match="at least one segment"):
        write_segmentation(good, slices, [], tmp_path / "o.dcm")
    with pytest.raises(InputError, match="no frame of reference"):
        write_segmentation(good, slices_of(tmp_path / "b"), SEGMENTS, tmp_path / "o.dcm")
    assert not (tmp_path / "o.dcm").exists()


def test_what_is_no_segmentation_is_refused(tmp_path):
    (tmp_path / "text.dcm").write_text("no image")
    assert read_segmentation(tmp_path / "text.dcm").verdict.code == "not_a_segmentation"
    path = save(slice_dataset(Made(), 0), tmp_path / "ct.dcm")
    assert read_segmentation(path).verdict.code == "not_a_segmentation"
    assert read_segmentation(tmp_path / "absent").verdict.code == "missing_file"
    write_series(tmp_path / "in", edit=framed)
    write_segmentation(
        marked((6, 11, 13)), slices_of(tmp_path / "in"), SEGMENTS, tmp_path / "out.dcm"
    )
    broken = pydicom.dcmread(tmp_path / "out.dcm")
    del broken.SegmentSequence
    broken.save_as(tmp_path / "broken.dcm")
    assert read_segmentation(tmp_path / "broken.dcm").verdict.code == "corrupt"
