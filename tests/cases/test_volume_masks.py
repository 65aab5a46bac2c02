"""Masks of volumes on grids that are not their own, and segments that cannot be told apart."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from made_series import Made, write_series

from radloop.cases.case import Case, Reference
from radloop.cases.volume_masks import read_volume_mask
from radloop.errors import InputError
from radloop.images import grid
from radloop.images.segmentation import Segment, write_segmentation
from radloop.images.volumes.read import read_volume
from radloop.images.volumes.series import find_series

_CODE = ("X", "99TEST", "x")


def case_of(mask: Path) -> Case:
    return Case("c", "p", {"dwi": mask}, reference=Reference(masks={"lesion": mask}))


def one_voxel(path: Path) -> Case:
    data = np.zeros((20, 20, 20), np.uint8)
    data[11, 11, 11] = 1
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    return case_of(path)


def test_a_lesion_finer_than_the_grid_is_lost_but_not_called_outside(tmp_path: Path) -> None:
    coarse = grid.from_affine(np.diag([-4.0, -4, 4, 1])[:, [2, 1, 0, 3]], (5, 5, 5))
    assert not read_volume_mask(one_voxel(tmp_path / "m.nii"), "lesion", coarse).any()


def test_a_mask_beyond_the_grid_is_an_error(tmp_path: Path) -> None:
    far = grid.from_affine(np.eye(4)[:, [2, 1, 0, 3]] + 900 * np.eye(4, k=3), (5, 5, 5))
    with pytest.raises(InputError, match="'lesion' of case 'c' lies outside"):
        read_volume_mask(one_voxel(tmp_path / "m.nii"), "lesion", far)


def test_a_missing_file_names_the_case(tmp_path: Path) -> None:
    own = one_voxel(tmp_path / "m.nii")
    (tmp_path / "m.nii").unlink()
    somewhere = grid.from_affine(np.eye(4), (5, 5, 5))
    with pytest.raises(InputError, match="of case 'c' cannot be read"):
        read_volume_mask(own, "lesion", somewhere)


def test_segments_by_name(tmp_path: Path) -> None:
    def framed(dataset: object, _: int) -> None:
        dataset.FrameOfReferenceUID = "1.2.3.4"  # type: ignore[attr-defined]

    write_series(tmp_path / "in", Made(), framed)
    (series,) = find_series([tmp_path / "in"]).series
    assert series.layout is not None
    labels = np.zeros(series.layout.planes.shape, np.uint8)
    labels[1, 2:5, 2:5], labels[3, 2:5, 2:5], labels[4, 1, 1] = 1, 2, 3
    names = ("Old lesion", "old-lesion", "New")
    segments = [Segment(name, _CODE, _CODE) for name in names]
    path = tmp_path / "seg.dcm"
    write_segmentation(labels, series.layout.slices, segments, path)
    masks = dict.fromkeys(("old_lesion", "New", "absent"), path)
    case = Case("c", "p", {"image": tmp_path / "in"}, reference=Reference(masks=masks))
    image = read_volume(case.image).image
    assert image is not None
    np.testing.assert_array_equal(read_volume_mask(case, "New", image.geometry), labels == 3)
    with pytest.raises(InputError, match="Several of its segments are named 'old_lesion'"):
        read_volume_mask(case, "old_lesion", image.geometry)
    with pytest.raises(InputError, match="It has the segments old_lesion, old_lesion, new"):
        read_volume_mask(case, "absent", image.geometry)
