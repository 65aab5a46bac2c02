"""The montage of a study: the brain from below upwards, lesions outlined."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.findings.montage import draw_montage
from radloop.images.image import Image
from radloop.images.volume_operations import resample_onto
from radloop.systems.lesions.study import Study

_APART = 4.0  # mm between the slices shown, at least
_MOST = 48
_LOW, _HIGH = -2.5, 4.0  # z-scores shown as black and white


def draw_study(
    study: Study, labels: npt.NDArray[np.uint8] | None, title: str, caption: str
) -> npt.NDArray[np.uint8]:
    """RGB `(y, x, 3)`. labels: on the grid of the file. The patient's right is on the left."""
    index = study.present.index(study.leading) if study.leading in study.present else 0
    shown = _grey(study, index)
    mask = np.zeros(study.brain.shape, np.bool_)
    if labels is not None:
        on_file = Image(labels, study.geometry, original=study.geometry)
        mask = resample_onto(on_file, study.work, "nearest").array > 0
    spacing = study.work.spacing or (1.0, 1.0, 1.0)
    inside = np.flatnonzero(study.brain.any((1, 2)))
    step = max(1, round(_APART / spacing[0]), int(np.ceil(len(inside) / _MOST)))
    rows = inside[::step]
    aspect = _square(shown.shape[1:], spacing)
    slices = [_padded(shown[k], aspect) for k in rows]
    # A slice stands for those between it and the next, so that no lesion falls between two.
    masks = [_padded(mask[k : k + step].any(0), aspect) for k in rows]
    outlined = {n: m for n, m in enumerate(masks) if m.any()}
    voxel = float(np.prod(spacing)) / 1000
    marked = {n: f"{mask[rows[n] : rows[n] + step].sum() * voxel:.2f} ml" for n in outlined}
    names = [f"{(k - inside[0]) * spacing[0]:.0f} mm" for k in rows]
    return draw_montage(slices, names, marked, outlined=outlined, title=title, caption=caption)


def _grey(study: Study, index: int) -> npt.NDArray[np.uint8]:
    scores = study.inputs[index]
    grey = (scores - _LOW) * np.float32(255 / (_HIGH - _LOW))
    return np.where(study.brain, np.clip(grey, 12, 255), 0).astype(np.uint8)


def _square(shape: tuple[int, ...], spacing: tuple[float, ...]) -> tuple[int, int, int, int]:
    """Margins (top, bottom, left, right) that make the slice square in mm."""
    height, width = shape[0] * spacing[1], shape[1] * spacing[2]
    down = max(0, round((width - height) / 2 / spacing[1]))
    across = max(0, round((height - width) / 2 / spacing[2]))
    return down, down, across, across


def _padded(plane: Any, margins: tuple[int, int, int, int]) -> Any:
    top, bottom, left, right = margins
    return np.pad(plane, ((top, bottom), (left, right)))
