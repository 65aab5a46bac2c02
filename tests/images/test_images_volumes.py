"""Volumes of DICOM series: every voxel holds what lies at its place in the patient."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_films import compress
from made_series import (
    STEP,
    Made,
    enhanced_dataset,
    field,
    put_pixels,
    save,
    uid,
    write_series,
)
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from radloop.cases.case import Case
from radloop.cases.table import read_cases, table_of, write_cases
from radloop.errors import InputError
from radloop.images import grid
from radloop.images.image import Image, Planes
from radloop.images.limits import ReadLimits
from radloop.images.scans import find_scans, read_image
from radloop.images.volumes.read import read_volume

turns = st.tuples(*[st.floats(-180, 180)] * 3)
places = st.tuples(*[st.floats(-200, 200)] * 3)
SLOW = settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)


def volume_of(folder: Path, status: str = "accepted", **options: object) -> Image:
    reading = read_volume(folder, **options)  # type: ignore[arg-type]
    assert reading.image is not None, reading.verdict
    assert reading.verdict.status == status
    return reading.image


def points_of(image: Image) -> np.ndarray:
    """LPS mm `(n, 3)` of all voxels."""
    return grid.to_patient(np.indices(image.array.shape).reshape(3, -1).T, image.geometry)


def inside_slices(points: np.ndarray, made: Made) -> np.ndarray:
    """Whether linear interpolation between the made slices reaches each point, by solving for the
    slices beside it."""
    axes = made.axes
    depth = (made.positions - made.positions[0]) @ axes[:, 2]
    along = (points - made.positions[0]) @ axes[:, 2]
    k = np.clip(np.searchsorted(depth, along) - 1, 0, len(depth) - 2)
    inside = np.ones(len(points), bool)
    for neighbour in (k, k + 1):
        away = points - made.positions[neighbour]
        y = (away @ axes[:, 1]) / made.spacing[0]
        x = (away @ axes[:, 0]) / made.spacing[1]
        inside &= (y > -1e-6) & (y < made.rows - 1 + 1e-6)
        inside &= (x > -1e-6) & (x < made.columns - 1 + 1e-6)
    return inside


@SLOW
@given(turns, places)
def test_an_even_series_is_what_simpleitk_reads(turn, origin):
    made = Made(turn=turn, origin=origin)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_series(Path(folder), made)
        image = volume_of(Path(folder))
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(path) for path in paths])
        theirs = reader.Execute()
    np.testing.assert_allclose(image.array, sitk.GetArrayFromImage(theirs), atol=1e-3)
    for index in ((0, 0, 0), (5, 10, 12), (2, 3, 4)):
        expected = theirs.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose(grid.to_patient([index], image.geometry)[0], expected, atol=1e-3)
    assert grid.is_orthogonal(image.geometry)


@SLOW
@given(
    turns,
    places,
    st.floats(-25, 25),
    st.lists(st.floats(0.6, 5.0), min_size=2, max_size=7),
    st.one_of(st.none(), st.tuples(*[st.floats(0.4, 2.5)] * 3)),
)
def test_a_tilted_or_uneven_series_keeps_every_place(turn, origin, tilt, gaps, spacing):
    made = Made(gaps=tuple(gaps), turn=turn, origin=origin, tilt=tilt)
    with tempfile.TemporaryDirectory() as folder:
        write_series(Path(folder), made)
        reading = read_volume(Path(folder), even_out=True, spacing=spacing)
    image = reading.image
    assert image is not None
    points = points_of(image)
    inside = inside_slices(points, made)
    assert inside.mean() > 0.2
    # Positions of an even series may be rounded by what counts as even; nothing else is lost.
    slack = STEP if "uneven_gaps" in reading.verdict.code or "tilt" in reading.verdict.code else 0.1
    np.testing.assert_allclose(image.array.ravel()[inside], field(points)[inside], atol=slack + 0.1)
    assert grid.is_orthogonal(image.geometry)
    if spacing is not None:
        assert image.geometry.spacing == pytest.approx(spacing)


def test_what_a_sheared_slice_does_not_reach_is_air(tmp_path):
    made = Made(gaps=(4.0,) * 4, tilt=20)
    write_series(tmp_path, made)
    image = volume_of(tmp_path, "warned")
    away = ~inside_slices(points_of(image), made)
    assert (image.array.ravel()[away] == -1024).mean() > 0.7  # the rest lies within half a pixel
    assert image.array.shape[1] > made.rows


def test_the_original_planes_are_kept(tmp_path):
    made = Made(gaps=(4.0, 4.0, 1.0, 7.0), tilt=15, turn=(20, -10, 5))
    write_series(tmp_path, made)
    planes = volume_of(tmp_path, "warned", even_out=True, spacing=(1, 1, 1)).original
    assert isinstance(planes, Planes)
    for k in range(5):
        corner = planes.points_of(k) @ [0, made.rows - 1, made.columns - 1, 1]
        np.testing.assert_allclose(corner[:3], made.points(k)[-1, -1], atol=1e-6)


def test_frames_of_an_enhanced_object_are_put_in_order(tmp_path):
    made = Made(turn=(10, 20, 30))
    save(enhanced_dataset(made, [3, 0, 5, 1, 4, 2]), tmp_path / "one.dcm")
    image = volume_of(tmp_path)
    np.testing.assert_allclose(image.array.ravel(), field(points_of(image)), atol=STEP)


def test_compressed_frames_are_those_of_the_plain_file(tmp_path):
    dataset = enhanced_dataset(Made(), [5, 4, 3, 2, 1, 0])
    save(dataset, tmp_path / "plain" / "one.dcm")
    dataset.compress(RLELossless)
    save(dataset, tmp_path / "packed" / "one.dcm")
    plain, packed = (volume_of(tmp_path / name) for name in ("plain", "packed"))
    np.testing.assert_array_equal(plain.array, packed.array)
    assert plain.geometry == packed.geometry


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
)
def test_lossless_transfer_syntaxes_are_bit_identical(tmp_path, syntax):
    made = Made(rows=16, columns=16)

    def unsigned(dataset: Dataset, k: int) -> None:
        stored = np.rint(field(made.points(k)) / STEP).astype(np.int32) + 20000
        put_pixels(dataset, stored.astype(np.uint16))
        dataset.RescaleIntercept = -20000 * STEP

    def packed(dataset: Dataset, k: int) -> None:
        unsigned(dataset, k)
        if syntax.is_encapsulated:
            compress(dataset, syntax)
        elif syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax

    write_series(tmp_path / "plain", made, unsigned)
    write_series(tmp_path / "packed", made, packed)
    plain, other = (volume_of(tmp_path / name) for name in ("plain", "packed"))
    np.testing.assert_array_equal(plain.array, other.array)


def test_whole_numbers_stay_whole_and_large_ones_fit(tmp_path):
    def whole(intercept: int) -> object:
        def edit(dataset: Dataset, k: int) -> None:
            dataset.RescaleSlope, dataset.RescaleIntercept = 1, intercept
            put_pixels(dataset, np.full((11, 13), -32768 + k, np.int16))

        return edit

    write_series(tmp_path / "a", edit=whole(0))  # type: ignore[arg-type]
    write_series(tmp_path / "b", edit=whole(-1024))  # type: ignore[arg-type]
    small, large = volume_of(tmp_path / "a"), volume_of(tmp_path / "b")
    assert (small.array.dtype, large.array.dtype) == (np.int16, np.int32)
    assert large.array[2].tolist() == [[-32768 + 2 - 1024] * 13] * 11


def test_each_slice_has_its_own_rescale(tmp_path):
    def edit(dataset: Dataset, k: int) -> None:
        put_pixels(dataset, np.full((11, 13), 100, np.int16))
        dataset.Modality, dataset.RescaleSlope, dataset.RescaleIntercept = "PT", 0.5 * (k + 1), k

    write_series(tmp_path, edit=edit)
    assert volume_of(tmp_path).array[:, 0, 0].tolist() == [50 * (k + 1) + k for k in range(6)]


def test_an_mr_series_needs_no_rescale(tmp_path):
    def edit(dataset: Dataset, k: int) -> None:
        del dataset.RescaleSlope, dataset.RescaleIntercept
        dataset.Modality = "MR"
        put_pixels(dataset, np.full((11, 13), 7 * k, np.uint16))

    write_series(tmp_path, edit=edit)
    image = volume_of(tmp_path)
    assert image.modality == "MR"
    assert image.array[:, 0, 0].tolist() == [0, 7, 14, 21, 28, 35]


@pytest.mark.parametrize("signed", [True, False])
def test_bits_beside_the_stored_ones_are_not_looked_at(tmp_path, signed: bool):
    def edit(dataset: Dataset, k: int) -> None:
        low = -5 if signed else 4091
        kind = np.dtype(np.int16)
        put_pixels(dataset, np.full((11, 13), (low & 0x0FFF) | 0x3000, kind))
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelRepresentation = int(signed)
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0

    write_series(tmp_path, edit=edit)
    assert (volume_of(tmp_path).array == (-5 if signed else 4091)).all()


def test_a_volume_too_large_is_refused_before_it_is_made(tmp_path):
    write_series(tmp_path)
    reading = read_volume(tmp_path, limits=ReadLimits(min_side=2, max_voxels=500))
    assert reading.verdict.code == "too_many_voxels"


def test_a_spacing_must_be_positive(tmp_path):
    write_series(tmp_path)
    with pytest.raises(InputError, match="not positive"):
        read_volume(tmp_path, spacing=(1, 0, 1))


def test_an_empty_folder_has_no_series(tmp_path):
    assert read_volume(tmp_path).verdict.code == "no_series"


def test_one_of_several_series_is_read_by_its_uid(tmp_path):
    write_series(tmp_path, series="a")
    write_series(tmp_path, Made(gaps=(1.0,) * 3), series="b")
    assert read_volume(tmp_path).verdict.code == "several_series"
    image = volume_of(tmp_path, series=str(uid("series", "b")))
    assert image.array.shape[0] == 4
    assert read_image(tmp_path / uid("series", "b")).image.array.shape[0] == 4
    unknown = read_image(tmp_path / uid("series", "c"))
    assert unknown.verdict.code == "no_series"


def test_each_of_several_series_in_a_folder_is_a_scan(tmp_path):
    write_series(tmp_path, series="a")
    assert find_scans(tmp_path) == [tmp_path]
    write_series(tmp_path, Made(gaps=(1.0,) * 3), series="b")
    both = sorted(str(uid("series", name)) for name in "ab")
    assert [path.name for path in find_scans(tmp_path)] == both
    cases = [Case(name, "p", {"image": tmp_path / name}) for name in both]
    write_cases(table_of(cases, tmp_path / "cases.csv"), tmp_path / "cases.csv")
    assert [case.image.name for case in read_cases(tmp_path / "cases.csv").cases] == both


def test_high_throughput_jpeg_2000_is_read_to_the_bit(tmp_path: Path) -> None:
    """`htj2k.npz` holds the streams that OpenJPH (imagecodecs 2026.3.6) made of these slices."""
    streams = np.load(Path(__file__).with_name("htj2k.npz"))
    y, x = np.mgrid[:40, :44]
    slices = [((x * 7 + y * 13 + k * 101) % 2048 - 1024).astype(np.int16) for k in range(3)]

    def edit(dataset: Dataset, k: int) -> None:
        put_pixels(dataset, slices[k])
        dataset.RescaleSlope = 1
        dataset.PixelData = encapsulate([streams[f"lossless{k}"].tobytes()])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless

    write_series(tmp_path, Made(gaps=(2.5, 2.5), rows=40, columns=44), edit)
    image = read_volume(tmp_path).image
    assert image is not None
    np.testing.assert_array_equal(image.array, np.stack(slices))
