"""NIfTI-1 and NIfTI-2 volumes, read and written with nibabel, in the patient's LPS millimetres.

NIfTI counts x, y, z and points to the right, the front and the head (RAS); `Image` counts z, y, x
and points to the left, the back and the head (LPS). Only axes are exchanged and signs turned: no
voxel moves in the patient.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from radloop.images import grid
from radloop.images.image import Floats, Geometry, Image, Reading, brightness_range
from radloop.images.limits import VOLUME_LIMITS, ReadLimits
from radloop.images.read import open_file
from radloop.images.verdict import ACCEPTED, Refusal, Verdict, warned
from radloop.images.write import atomic_path

SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_REVERSED = np.eye(4)[[2, 1, 0, 3]]  # (z, y, x, 1) to (x, y, z, 1)
_TO_MM = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
_LATEST_START = 100_000_000  # bytes of extensions before the first voxel
_AGREE = 0.1  # voxels by which sform and qform may place a corner apart


def is_nifti(path: Path) -> bool:
    """Whether the file's name is that of a NIfTI image."""
    return path.name.lower().endswith(SUFFIXES)


def read_nifti(path: Path, limits: ReadLimits = VOLUME_LIMITS) -> Reading:
    """One volume `(z, y, x)` from .nii, .nii.gz or a .hdr/.img pair.

    Where the voxels lie is said by the sform, or without one by the qform. Whole numbers stay
    whole when the file does not scale them. A fourth axis of length 1 is dropped. Sheared axes
    are kept as they are.

    Never raises for what a file holds. Refusals: those of `open_file`, "not_nifti", "truncated",
    "corrupt", "several_volumes", "not_a_volume", "unsupported_pixels", "no_orientation",
    "contradicting_orientation", "invalid_orientation", "too_many_voxels". Warns:
    "orientation_forms_differ", "sheared_axes", "not_finite".
    """
    try:
        open_file(path).close()
        return _read(path, limits)
    except Refusal as refusal:
        return Reading(None, refusal.verdict)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return Reading(None, _cut_off().verdict)
    except nib.filebasedimages.ImageFileError:
        if _ends_early(path):
            return Reading(None, _cut_off().verdict)
        message = "This is no NIfTI file, or its header is damaged. Give a .nii or .nii.gz file."
        return Reading(None, Refusal("not_nifti", message).verdict)
    except Exception:  # a parser fed with damaged bytes may raise anything
        message = "The NIfTI file is damaged and cannot be read. Copy or export it again."
        return Reading(None, Refusal("corrupt", message).verdict)


def _read(path: Path, limits: ReadLimits) -> Reading:
    loaded = nib.load(path)
    if not isinstance(loaded, nib.Nifti1Pair):
        raise Refusal("not_nifti", "This is no NIfTI file. Give a .nii or .nii.gz file.")
    file: Any = loaded
    shape = _shape(file, limits)
    header: Any = file.header
    if file.dataobj.offset > _LATEST_START:
        raise Refusal("corrupt", "The header places the voxels beyond any file. Export it again.")
    if header.get_data_dtype().kind not in "iuf":
        raise Refusal(
            "unsupported_pixels",
            "The voxels are colours or complex numbers. Give one number a voxel.",
        )
    matrix, verdict = _matrix(header, shape)
    array, finite = _voxels(file, shape)
    _check_whole(path, file.dataobj.offset + array.size * header.get_data_dtype().itemsize)
    geometry = _geometry(matrix, array.shape)
    if not grid.is_orthogonal(geometry):
        verdict = verdict.merge(
            warned(
                "sheared_axes",
                "The axes of the volume do not stand upright on each other; it was read as it is. "
                "Resample it onto an upright grid before lengths are compared.",
            )
        )
    image = Image(
        array,
        geometry,
        display_range=brightness_range(array),
        acquisition={"format": "NIfTI", "description": _text(header)},
        source=str(path),
        original=geometry,
    )
    return Reading(image, verdict.merge(finite))


def _shape(file: Any, limits: ReadLimits) -> tuple[int, int, int]:
    """(x, y, z), checked before a voxel is read."""
    shape = tuple(int(n) for n in file.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        raise Refusal(
            "several_volumes",
            f"The file holds {int(np.prod(shape[3:]))} volumes. Split it and give one of them.",
        )
    if len(shape) < 3 or min(shape) < 1:
        raise Refusal("not_a_volume", "The file holds no volume of three dimensions.")
    voxels = shape[0] * shape[1] * shape[2]
    if voxels > limits.max_voxels:
        raise Refusal(
            "too_many_voxels",
            f"The file claims {' x '.join(map(str, shape))} voxels, more than the limit of "
            f"{limits.max_voxels / 1e6:g} million, and was not read.",
        )
    return shape[0], shape[1], shape[2]


# --- voxels -----------------------------------------------------------------------------------


def _voxels(file: Any, shape: tuple[int, int, int]) -> tuple[npt.NDArray[Any], Verdict]:
    """The values `(z, y, x)`; no more is decompressed than the header says there is."""
    slope, inter = float(file.dataobj.slope), float(file.dataobj.inter)
    try:
        stored = np.asarray(file.dataobj.get_unscaled())
    except (ValueError, OSError) as error:  # nibabel says so of a file that ends too early
        raise _cut_off() from error
    stored = stored.reshape(shape).T
    scaled = (slope, inter) != (1, 0)
    if stored.dtype.kind in "iu" and not scaled:
        wanted = stored.dtype.newbyteorder("=")
        return np.ascontiguousarray(stored, wanted), ACCEPTED
    array = np.ascontiguousarray(stored, np.float32)
    if scaled:
        array = array * np.float32(slope) + np.float32(inter)
    wrong = ~np.isfinite(array)
    if not wrong.any():
        return array, ACCEPTED
    array[wrong] = 0
    return array, warned(
        "not_finite", f"{int(wrong.sum())} voxels are no numbers; they were set to 0."
    )


def _check_whole(path: Path, size: int) -> None:
    """Refuses a compressed file whose checksum does not hold: a damaged byte decompresses to other
    voxels without a word. nibabel stops reading before the checksum.

    size: bytes that the header accounts for; what follows them is not read without end.
    """
    if not path.name.lower().endswith(".gz"):
        return
    left = size + _LATEST_START
    try:
        with gzip.open(path) as file:
            while left > 0 and (piece := file.read(1 << 20)):
                left -= len(piece)
    except EOFError as error:
        raise _cut_off() from error
    except (OSError, zlib.error) as error:
        raise Refusal(
            "corrupt",
            "The checksum of the compressed file does not hold: its voxels cannot be trusted. Copy"
            " or export it again.",
        ) from error


def _ends_early(path: Path) -> bool:
    """Whether a compressed file ends within what nibabel reads to recognise it."""
    try:
        with gzip.open(path) as file:
            file.read(4096)
    except EOFError:
        return True
    except (OSError, zlib.error):
        return False
    return False


def _cut_off() -> Refusal:
    return Refusal(
        "truncated", "The NIfTI file is cut off: its end is missing. Copy or export it again."
    )


# --- where it lies ----------------------------------------------------------------------------


def _matrix(header: Any, shape: tuple[int, int, int]) -> tuple[Floats, Verdict]:
    """The file's matrix, (x, y, z, 1) to RAS mm, and what is to be said of it."""
    unit = _TO_MM.get(header.get_xyzt_units()[0], 1.0)
    scale = np.diag([unit, unit, unit, 1.0])
    sform = header.get_sform(coded=True)[0]
    qform = header.get_qform(coded=True)[0]
    if sform is None and qform is None:
        raise Refusal(
            "no_orientation",
            "The file does not say how its axes lie in the patient (neither sform nor qform): "
            "left and right are unknown. Convert the original DICOM series again.",
        )
    chosen = sform if sform is not None else qform
    if not np.isfinite(chosen).all() or abs(np.linalg.det(chosen[:3, :3])) < 1e-12:
        raise _no_volume()
    verdict = ACCEPTED
    if sform is not None and qform is not None:
        verdict = _compared(sform, qform, shape)
    return scale @ chosen, verdict


def _compared(sform: Floats, qform: Floats, shape: tuple[int, int, int]) -> Verdict:
    """Refuse two forms that turn or mirror the volume against each other; warn of a shift."""
    corners = np.array([[*np.multiply(k, np.subtract(shape, 1)), 1] for k in np.ndindex(2, 2, 2)])
    apart = np.abs(corners @ (sform - qform).T).max()
    if apart <= _AGREE * np.linalg.norm(sform[:3, :3], axis=0).min():
        return ACCEPTED
    axes = [nib.orientations.aff2axcodes(form) for form in (sform, qform)]
    if axes[0] != axes[1]:
        raise Refusal(
            "contradicting_orientation",
            f"The file says twice how its axes lie, and once {''.join(map(str, axes[0]))} (sform) "
            f"and once {''.join(map(str, axes[1]))} (qform): left may be right. Convert the "
            "original DICOM series again, or remove the form that is wrong.",
        )
    return warned(
        "orientation_forms_differ",
        f"The file's two statements of where it lies differ by {apart:.1f} mm; the sform was used.",
    )


def _geometry(matrix: Floats, shape: tuple[int, ...]) -> Geometry:
    try:
        return grid.from_affine(_RAS_TO_LPS @ matrix @ _REVERSED, shape)
    except ValueError as error:
        raise _no_volume() from error


def _no_volume() -> Refusal:
    return Refusal(
        "invalid_orientation",
        "The file's matrix leaves no volume (a spacing of 0, or numbers that are none). Convert "
        "the original DICOM series again.",
    )


def _text(header: Any) -> str:
    return bytes(header["descrip"]).split(b"\0")[0].decode("latin-1").strip()


# --- writing ----------------------------------------------------------------------------------


def write_nifti_like(array: npt.NDArray[Any], source: Path, path: Path) -> None:
    """Write `array` `(z, y, x)`, on the grid of the NIfTI file `source`, with that file's own
    statements of where it lies, bit for bit.

    Raises ValueError when the shapes differ, WriteError when it cannot be written.
    """
    file: Any = nib.load(source)
    header = file.header
    if tuple(array.shape[::-1]) != tuple(file.shape[:3]):
        raise ValueError(f"array of shape {array.shape} beside a file of {file.shape}")
    image = nib.Nifti1Image(array.T, file.affine, dtype=array.dtype)
    for name in ("sform_code", "qform_code", "quatern_b", "quatern_c", "quatern_d",
                 "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"):  # fmt: skip
        image.header[name] = header[name]
    image.header["pixdim"][:4] = header["pixdim"][:4]
    image.header["xyzt_units"] = header["xyzt_units"]
    with atomic_path(path) as temporary:
        nib.save(image, temporary)


def write_nifti(array: npt.NDArray[Any], geometry: Geometry, path: Path) -> None:
    """Write `array` `(z, y, x)` on `geometry` as .nii or .nii.gz.

    The sform holds the geometry exactly; the qform too unless the axes are sheared, which it
    cannot say. Raises ValueError when the shapes differ, WriteError when it cannot be written.
    """
    if tuple(array.shape) != tuple(geometry.shape):
        raise ValueError(f"array of shape {array.shape} on a grid of {geometry.shape}")
    stored = array.astype(np.uint8) if array.dtype == np.bool_ else array
    matrix = _RAS_TO_LPS @ grid.affine(geometry) @ _REVERSED
    image = nib.Nifti1Image(stored.T, matrix, dtype=stored.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(matrix, code="scanner")
    if grid.is_orthogonal(geometry):
        image.set_qform(matrix, code="scanner")
    else:
        image.set_qform(None, code=0)
    with atomic_path(path) as temporary:
        nib.save(image, temporary)
