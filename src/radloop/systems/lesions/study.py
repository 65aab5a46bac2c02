"""The channels of an examination on one grid: registered, cut to the brain, standardised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.images.image import Geometry, Image, Reading
from radloop.images.registration import align, same_grid
from radloop.images.verdict import Verdict, refused, warned
from radloop.images.volume_operations import block_means, crop_volume, reorient, resample
from radloop.images.volumes.read import read_volume
from radloop.systems.lesions.brain import brain_mask
from radloop.systems.lesions.channels import canonical, in_square_microns
from radloop.systems.lesions.symmetry import Plane, mid_sagittal_plane, mirrored

Floats = npt.NDArray[np.float32]
_MARGIN = 8.0  # mm around the brain that the working grid keeps
_CLIP = 8.0  # standard deviations beyond which a voxel says nothing more


@dataclass(frozen=True)
class Study(Image):
    """An examination: the leading channel as its file has it (this image itself), and all channels
    on the working grid, upright towards S, P, L and cut to the brain.

    leading: its channel, on whose grid the mask will lie. present: the channels that were there.
    work: the working grid. inputs: float32 `(channels, z, y, x)`, z-scored inside the brain, 0
    outside and where a channel is missing, mirrored channels behind the others. brain: on the
    working grid. plane: between the hemispheres. adc: in 1e-6 mm2/s on the working grid, or None.
    """

    leading: str = ""
    present: tuple[str, ...] = ()
    work: Geometry = field(default_factory=lambda: Geometry((1, 1, 1)))
    inputs: Floats = field(default_factory=lambda: np.zeros((1, 1, 1, 1), np.float32))
    brain: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros((1, 1, 1), np.bool_))
    plane: Plane | None = None
    adc: Floats | None = None

    def distance_to_left(self, points_lps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How far points `(n, 3)`, LPS mm, lie on the patient's left of the plane between the
        hemispheres, mm."""
        if self.plane is None:
            raise ValueError("a study that was read has its plane")
        return self.plane.distances(points_lps)


def read_study(
    images: Mapping[str, Path],
    channels: Sequence[str],
    spacing: Sequence[float],
    *,
    with_mirror: bool = False,
    even_out: bool = False,
) -> Reading:
    """The examination of the files by channel, as a `Study`.

    channels: those of the model, in its order; the first that is there leads. spacing: mm of the
    working grid, (z, y, x) of the upright volume. with_mirror: also each channel reflected at the
    plane between the hemispheres (Clerigues et al. 2020). A channel that is missing, unreadable or
    cannot be registered is left out, with a warning; refused when the leading one cannot be read.
    """
    paths = {("image" if n == "image" else canonical(n)): path for n, path in images.items()}
    if "image" in paths:  # a case of one channel, which its table did not name
        paths[channels[0]] = paths.pop("image")
    known = [name for name in channels if name in paths]
    if not known:
        return Reading(None, _no_channel(paths, channels))
    leading = known[0]
    reading = read_volume(paths[leading], even_out=even_out)
    if reading.image is None:
        return reading
    lead, verdict = reading.image, reading.verdict
    if min(lead.array.shape) < 2:
        return Reading(None, refused("not_a_volume", "The channel is a single slice."))
    whole = _on_work(lead, spacing)
    mask = brain_mask(whole)
    if not mask.mask.any():
        return Reading(None, refused("no_brain", f"No brain was found in the {leading} volume."))
    if not mask.plausible:
        verdict = verdict.merge(
            warned("brain_uncertain", "The brain was not told from the rest of the head.")
        )
    box = _box(mask.mask, whole.geometry)
    work = crop_volume(whole, *box)
    brain = crop_volume(whole.with_array(mask.mask), *box).array
    on_grid = {leading: work}
    for name in known[1:]:
        moved, told = _other(paths[name], lead, work, spacing, even_out)
        verdict = verdict.merge(_softened(name, told) if moved is None else told)
        if moved is not None:
            on_grid[name] = moved
    absent = [name for name in channels if name not in on_grid]
    if absent:
        verdict = verdict.merge(
            warned("missing_channel", f"Read without {', '.join(absent)}: expect it to find less.")
        )
    plane = mid_sagittal_plane(work, brain)
    adc = None
    if "adc" in on_grid:
        adc, told = in_square_microns(on_grid["adc"].array, brain)
        verdict = verdict.merge(told)
    inputs = _inputs(on_grid, channels, brain, plane if with_mirror else None)
    plain = {f.name: getattr(lead, f.name) for f in fields(Image)}
    study = Study(
        **plain, leading=leading, present=tuple(on_grid), work=work.geometry, inputs=inputs,
        brain=brain, plane=plane, adc=adc,
    )  # fmt: skip
    return Reading(study, verdict)


def _no_channel(paths: Mapping[str, Path], channels: Sequence[str]) -> Verdict:
    return refused(
        "no_channel",
        f"The case has {', '.join(paths) or 'nothing'}, and the model reads {', '.join(channels)}.",
    )


def _softened(name: str, told: Verdict) -> Verdict:
    """The refusal of one channel as a warning about the case."""
    return warned(told.code, f"The channel {name} was left out. {' '.join(told.messages)}")


def _on_work(image: Image, spacing: Sequence[float]) -> Image:
    """Upright towards S, P, L with samples `spacing` mm apart."""
    z, y, x = (float(s) for s in spacing)
    return resample(block_means(reorient(image, "SPL"), (z, y, x)), (z, y, x))


def _other(
    path: Path, lead: Image, work: Image, spacing: Sequence[float], even_out: bool
) -> tuple[Image | None, Verdict]:
    """Another channel on the working grid, or None with the reason."""
    reading = read_volume(path, even_out=even_out)
    if reading.image is None:
        return None, reading.verdict
    image = reading.image
    same: bool | None = True if same_grid(image.geometry, lead.geometry) else None
    frames = [one.acquisition.get("frame_of_reference") for one in (image, lead)]
    if same is None and all(frames):
        same = frames[0] == frames[1]
    z, y, x = (float(s) for s in spacing)
    moved, verdict = align(block_means(reorient(image, "SPL"), (z, y, x)), work, same)
    return moved, reading.verdict.merge(verdict)


def _box(
    mask: npt.NDArray[np.bool_], geometry: Geometry
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    spacing = geometry.spacing or (1.0, 1.0, 1.0)
    start, stop = [], []
    for axis, n in enumerate(mask.shape):
        others = tuple(k for k in range(3) if k != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        margin = int(np.ceil(_MARGIN / spacing[axis]))
        start.append(max(0, int(inside[0]) - margin))
        stop.append(min(n, int(inside[-1]) + 1 + margin))
    return tuple(start), tuple(stop)


def _inputs(
    on_grid: Mapping[str, Image],
    channels: Sequence[str],
    brain: npt.NDArray[np.bool_],
    plane: Plane | None,
) -> Floats:
    count = len(channels) * (1 if plane is None else 2)
    inputs = np.zeros((count, *brain.shape), np.float32)
    for k, name in enumerate(channels):
        if name not in on_grid:
            continue
        scored = standardised(on_grid[name].array, brain)
        inputs[k] = scored
        if plane is not None:
            other = mirrored(replace(on_grid[name], array=scored), plane).array
            inputs[len(channels) + k] = np.where(brain, other, 0)
    return inputs


def standardised(array: npt.NDArray[Any], brain: npt.NDArray[np.bool_]) -> Floats:
    """z-scores inside the brain, 0 outside; voxels without a value (0, NaN) count as outside."""
    values = array.astype(np.float32)
    inside = brain & np.isfinite(values) & (values != 0)
    if not inside.any():
        return np.zeros(values.shape, np.float32)
    some = values[inside]
    scored = (values - some.mean()) / max(float(some.std()), 1e-6)
    return np.where(inside, np.clip(scored, -_CLIP, _CLIP), 0).astype(np.float32)
