"""Rigid registration of volumes: where two scans of one head do not share a frame of reference.

SimpleITK optimises Mattes' mutual information; whether the result can be trusted is judged apart
from it, by the normalised mutual information (Studholme et al. 1999) and by the overlap of the two
heads, since an optimiser always answers something.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from radloop.images import grid
from radloop.images.image import Floats, Geometry, Image
from radloop.images.sampling import Order
from radloop.images.verdict import ACCEPTED, Verdict, noted, refused
from radloop.images.volume_operations import block_means, resample_onto

_COARSE = 4.0  # mm of the grid that is registered on
_ITERATIONS = 200
_BINS = 32
_SAMPLED = 0.2  # the share of voxels the optimiser looks at: four times as fast, .5 mm from all
_LARGEST_ANGLE = 30.0  # degrees
_LARGEST_SHIFT = 60.0  # mm
_LEAST_OVERLAP = 0.75
_LEAST_SIMILARITY = 1.03
"""Measured on real heads with 32 bins: 1.05 to 1.08 for channels of one patient, 1.01 to 1.02 for
volumes turned upside down or back to front and for another patient's other sequence, 1.00 for
noise (and 1.04 for another patient's same sequence, which no such number can tell)."""
_FIRST_LARGE = 10.0  # mm between the middles of two heads, from which a second start is tried


@dataclass(frozen=True)
class Rigid:
    """A rigid motion.

    matrix: `(4, 4)`, from LPS mm of the fixed image to the moving one. angle: degrees. shift: mm
    that the middle of the fixed image moves. before, after: normalised mutual information of the
    two, 1 (nothing in common) to 2, as their headers place them and as registered.
    """

    matrix: Floats
    angle: float
    shift: float
    before: float
    after: float


def same_grid(a: Geometry, b: Geometry, tolerance_mm: float = 0.05) -> bool:
    """Whether two volumes have the same samples: as many, with the same corners."""
    if tuple(a.shape) != tuple(b.shape) or a.direction is None or b.direction is None:
        return False
    ends = np.array([[(0, n - 1)[k >> i & 1] for i, n in enumerate(a.shape)] for k in range(8)])
    away = np.linalg.norm(grid.to_patient(ends, a) - grid.to_patient(ends, b), axis=1)
    return bool(away.max() <= tolerance_mm)


def align(
    moving: Image, fixed: Image, same_frame: bool | None = None
) -> tuple[Image | None, Verdict]:
    """`moving` on the grid of `fixed`, float32, or None with the reason why not.

    same_frame: True when both are known to lie in one frame of reference; their headers are then
    believed. Otherwise they are registered; where that is no better than the headers, the headers
    hold, and either must pass `check_registration`.
    """
    if same_grid(moving.geometry, fixed.geometry):
        return replace(moving, geometry=fixed.geometry), ACCEPTED
    if same_frame:
        return resample_onto(moving, fixed.geometry), ACCEPTED
    rigid = register_rigid(moving, fixed)
    if rigid.after <= rigid.before:
        rigid = Rigid(np.eye(4), 0.0, 0.0, rigid.before, rigid.before)
    verdict = check_registration(rigid, moving, fixed)
    if verdict.refused:
        return None, verdict
    return resample_moved(moving, rigid, fixed.geometry), verdict


def register_rigid(moving: Image, fixed: Image) -> Rigid:
    """The rigid motion under which the two have most in common; the same for each run.

    On grids of about 4 mm, from where the headers place them, and also, when their middles lie
    apart, from where these meet; the better end counts.
    """
    small_fixed, small_moving = _small(fixed), _small(moving)
    starts = [np.zeros(3)]
    apart = _middle(small_moving) - _middle(small_fixed)
    if np.linalg.norm(apart) > _FIRST_LARGE:
        starts.append(apart)
    before = similarity(np.eye(4), small_moving, small_fixed)
    ends = [_optimised(small_moving, small_fixed, start) for start in starts]
    scores = [similarity(matrix, small_moving, small_fixed) for matrix in ends]
    best = int(np.argmax(scores))
    matrix = ends[best]
    centre = _centre(fixed.geometry)
    turn = np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1)
    shift = float(np.linalg.norm(matrix[:3, :3] @ centre + matrix[:3, 3] - centre))
    return Rigid(matrix, float(np.degrees(np.arccos(turn))), shift, before, scores[best])


def check_registration(rigid: Rigid, moving: Image, fixed: Image) -> Verdict:
    """Whether to believe a registration. Refused with "bad_registration" and the reason."""
    small_moving = _small(moving)
    small_fixed = _small(fixed)
    reasons = []
    if rigid.angle > _LARGEST_ANGLE or rigid.shift > _LARGEST_SHIFT:
        reasons.append(f"it would be turned by {rigid.angle:.0f} degrees and {rigid.shift:.0f} mm")
    overlap = head_overlap(rigid.matrix, small_moving, small_fixed)
    if overlap < _LEAST_OVERLAP:
        reasons.append(f"the heads overlap by {overlap:.0%} only")
    if rigid.after < _LEAST_SIMILARITY:
        reasons.append("the two have too little in common")
    if reasons:
        return refused(
            "bad_registration",
            f"The volume could not be registered: {', '.join(reasons)}. Check that it is of the"
            " same head, or register it yourself.",
        )
    moved = rigid.angle > 1 or rigid.shift > 2
    return (
        noted(f"A channel was moved by {rigid.shift:.0f} mm and {rigid.angle:.0f} degrees.")
        if moved
        else ACCEPTED
    )


def resample_moved(
    image: Image, rigid: Rigid, geometry: Geometry, order: Order = "linear", fill: float = 0.0
) -> Image:
    """The moving image on a grid of the fixed one."""
    there = grid.from_affine(rigid.matrix @ grid.affine(geometry), geometry.shape)
    moved = resample_onto(image, there, order, fill)
    return replace(moved, geometry=geometry, original=geometry, history=())


def similarity(matrix: Floats, moving: Image, fixed: Image) -> float:
    """Normalised mutual information of the two where both show the head, for all heads stand out
    from air; 1 when they hardly meet."""
    values, covered = _moved_values(matrix, moving, fixed)
    both = covered & head_mask(fixed.array) & (values > air_threshold(moving.array))
    if np.count_nonzero(both) < 0.02 * covered.size:
        return 1.0
    joint, _, _ = np.histogram2d(
        _ranks(fixed.array[both]), _ranks(values[both]), bins=_BINS, range=[[0, 1], [0, 1]]
    )
    p = joint / joint.sum()
    joined = _entropy(p.ravel())
    return float((_entropy(p.sum(0)) + _entropy(p.sum(1))) / joined) if joined > 0 else 1.0


def head_overlap(matrix: Floats, moving: Image, fixed: Image) -> float:
    """How much of the smaller head lies in the other, both told from air, where both fields of view
    reach (one may be stripped to its brain); 0 when they do not meet."""
    values, covered = _moved_values(matrix, moving, fixed)
    a, b = head_mask(fixed.array) & covered, (values > air_threshold(moving.array)) & covered
    b = ndimage.binary_fill_holes(ndimage.binary_closing(b, iterations=2)) & covered
    smaller = min(np.count_nonzero(a), np.count_nonzero(b))
    # Two heads beside each other meet in few voxels, whatever these say.
    if np.count_nonzero(covered) < 0.1 * covered.size or not smaller:
        return 0.0
    return float(np.count_nonzero(a & b) / smaller)


def head_mask(array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """What is not air, filled; `(z, y, x)`."""
    mask = array > air_threshold(array)
    closed = ndimage.binary_closing(np.pad(mask, 2, mode="edge"), iterations=2)[2:-2, 2:-2, 2:-2]
    return np.asarray(ndimage.binary_fill_holes(closed), np.bool_)


def air_threshold(array: npt.NDArray[Any]) -> float:
    """What parts dark from bright: Otsu's threshold, on the cubic root, so that few very bright
    voxels do not draw it up."""
    values = np.cbrt(np.maximum(array[np.isfinite(array)].astype(np.float32), 0).ravel())
    high = float(np.percentile(values, 99.5))
    if high <= 0:
        return 0.0
    counts, edges = np.histogram(np.clip(values, 0, high), bins=128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(middles[int(np.nanargmax(between[:-1]))] ** 3)


# --- inner parts ------------------------------------------------------------------------------


def _small(image: Image) -> Image:
    small = block_means(image, (_COARSE,) * 3)
    array = np.nan_to_num(np.asarray(small.array, np.float32))
    return replace(small, array=array)


def _centre(geometry: Geometry) -> Floats:
    middle = [[(n - 1) / 2 for n in geometry.shape]]
    return np.asarray(grid.to_patient(middle, geometry)[0], np.float64)


def _middle(image: Image) -> Floats:
    """The middle of the head, LPS mm."""
    index = np.argwhere(head_mask(image.array))
    if not len(index):
        return _centre(image.geometry)
    return np.asarray(grid.to_patient(index, image.geometry).mean(0), np.float64)


def _optimised(moving: Image, fixed: Image, start: Floats) -> Floats:
    sitk = _simpleitk()
    first = sitk.Euler3DTransform()
    first.SetCenter([float(v) for v in _centre(fixed.geometry)])
    first.SetTranslation([float(v) for v in start])
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_SAMPLED, 1)
    method.SetInterpolator(sitk.sitkLinear)
    # Steps in mm; the gradient of mutual information is small, and no reason to stop.
    method.SetOptimizerAsRegularStepGradientDescent(
        2.0, 0.005, _ITERATIONS, 0.8, gradientMagnitudeTolerance=1e-9
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([4.0, 2.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(first, inPlace=True)
    try:
        method.Execute(_itk(fixed), _itk(moving))
    except RuntimeError:  # the two do not overlap from this start
        return _matrix(first, start)
    return _matrix(first, None)


def _matrix(transform: Any, start: Floats | None) -> Floats:
    matrix = np.eye(4)
    if start is not None:
        matrix[:3, 3] = start
        return matrix
    matrix[:3, :3] = np.asarray(transform.GetMatrix()).reshape(3, 3)
    centre = np.asarray(transform.GetCenter())
    matrix[:3, 3] = centre + np.asarray(transform.GetTranslation()) - matrix[:3, :3] @ centre
    return matrix


def _simpleitk() -> Any:
    """SimpleITK, which has no types, on one thread, so that its sums are the same in each run."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # type: ignore[no-untyped-call]
    return SimpleITK


def _itk(image: Image) -> Any:
    sitk = _simpleitk()
    made = sitk.GetImageFromArray(np.asarray(image.array, np.float32))
    geometry = image.geometry
    made.SetSpacing([float(s) for s in (geometry.spacing or ())[::-1]])
    made.SetOrigin([float(v) for v in geometry.origin or ()])
    made.SetDirection(np.asarray(geometry.direction)[::-1].T.ravel().tolist())
    return made


def _moved_values(
    matrix: Floats, moving: Image, fixed: Image
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The moving image's values at the fixed one's voxels, and where it has any."""
    there = grid.from_affine(matrix @ grid.affine(fixed.geometry), fixed.geometry.shape)
    values = resample_onto(moving, there, "linear", np.nan).array
    covered = np.isfinite(values)
    return np.where(covered, values, 0).astype(np.float32), covered


def _ranks(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Values as shares of their robust range, in [0, 1]."""
    low, high = np.percentile(values, (0.5, 99.5))
    return np.asarray(np.clip((values - low) / max(high - low, 1e-9), 0, 1), np.float32)


def _entropy(p: npt.NDArray[np.float64]) -> float:
    inside = p[p > 0]
    return float(-(inside * np.log(inside)).sum())
