"""Simulated lesions in real brains, for benchmarks where real lesions are few.

What is simulated is the lesion alone: its brain, the noise, the artefacts and any lesions that the
patient has are real. Nothing learned from it says how a model does on patients.

A lesion is a handful of overlapping balls around a centre in the tissue of one hemisphere, the
surface of which a smooth random field roughens; fluid inside stays fluid. It is brighter on DWI by
a factor of 1.4 to 2.2 and darker on ADC by .5 to .75, as in the first week of an infarct (Lansberg
et al. 2001), on FLAIR and T2 between unseen and 1.5, on T1 slightly darker, each with its own
random texture, and blurred at the edge by half a voxel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_VOLUME_ML = (0.15, 25.0)
_CHANGES: Mapping[str, tuple[float, float]] = {
    "dwi": (1.4, 2.2),
    "adc": (0.5, 0.75),
    "flair": (1.0, 1.5),
    "t2": (1.0, 1.4),
    "t1": (0.8, 1.0),
}
_TEXTURE = 0.12


@dataclass(frozen=True)
class Simulated:
    """channels: the volumes with lesions. lesions: which voxels are theirs."""

    channels: Mapping[str, Floats]
    lesions: Mask


def simulate_lesions(
    channels: Mapping[str, Floats], tissue: Mask, spacing: tuple[float, ...], seed: int
) -> Simulated:
    """One to three lesions on one side of the brain.

    channels: volumes `(z, y, x)` on one grid. tissue: where a lesion may be: brain without fluid
    and without the patient's own lesions. spacing: mm, (z, y, x). The same seed gives the same
    lesions.
    """
    rng = np.random.default_rng(seed)
    half = _one_side(tissue, rng)
    lesions = np.zeros(tissue.shape, np.bool_)
    volumes = {name: array.astype(np.float32).copy() for name, array in channels.items()}
    for _ in range(int(rng.integers(1, 4))):
        mask = _shape(half, spacing, rng) & half
        lesions |= mask
        soft = ndimage.gaussian_filter(mask.astype(np.float32), 0.5) * tissue
        for name, volume in volumes.items():
            low, high = _CHANGES.get(name, (1.0, 1.0))
            grain = ndimage.gaussian_filter(rng.standard_normal(tissue.shape), 1.0)
            texture = 1 + _TEXTURE * (grain / grain.std()).astype(np.float32)
            factor = rng.uniform(low, high)
            volume *= 1 + soft * ((factor - 1) * texture).astype(np.float32)
    return Simulated(volumes, lesions)


def tissue_of(brain: Mask, adc: Floats | None, own: Mask) -> Mask:
    """Brain where a lesion may be put: no fluid (ADC above 1.3e-3 mm2/s, where there is a map, in
    1e-6 mm2/s), nothing within two voxels of the patient's own lesions, no edge of the brain."""
    tissue = ndimage.binary_erosion(brain, iterations=1)
    if adc is not None:
        tissue &= (adc > 300) & (adc < 1300)
    near = ndimage.binary_dilation(own, iterations=2) if own.any() else own
    return np.asarray(tissue & ~near, np.bool_)


def _one_side(tissue: Mask, rng: np.random.Generator) -> Mask:
    """The half of the tissue on one side of its middle, along the last axis."""
    columns = np.flatnonzero(tissue.any((0, 1)))
    middle = (columns[0] + columns[-1]) // 2
    half = tissue.copy()
    if rng.random() < 0.5:
        half[..., : middle + 2] = False
    else:
        half[..., middle - 1 :] = False
    return half


def _shape(tissue: Mask, spacing: tuple[float, ...], rng: np.random.Generator) -> Mask:
    """A rough blob of a volume drawn evenly on a logarithmic scale."""
    low, high = np.log(_VOLUME_ML)
    wanted = float(np.exp(rng.uniform(low, high)))
    centre = rng.choice(np.argwhere(tissue)).astype(np.float64)
    radius = (3 * 1000 * wanted / (4 * np.pi)) ** (1 / 3)  # mm
    step = np.asarray(spacing)
    grid = np.indices(tissue.shape).reshape(3, -1).T
    depth = np.full(len(grid), -np.inf)
    for _ in range(int(rng.integers(2, 6))):
        middle = centre + rng.normal(0, 0.5 * radius, 3) / step
        stretch = np.exp(rng.normal(0, 0.25, 3))
        away = np.linalg.norm((grid - middle) * step / stretch, axis=1)
        depth = np.maximum(depth, 0.75 * radius - away)
    field = ndimage.gaussian_filter(rng.standard_normal(tissue.shape), 4.0 / step)
    rough = depth.reshape(tissue.shape) + 0.35 * radius * field / field.std()
    # As large as was drawn, whatever the field and the fluid took away.
    inside = np.sort(rough[tissue])[::-1]
    count = max(4, round(1000 * wanted / float(np.prod(step))))
    level = inside[min(count, len(inside) - 1)]
    blob, _ = ndimage.label((rough > level) & tissue)
    sizes = np.bincount(blob.ravel())
    sizes[0] = 0
    return np.asarray(blob == int(sizes.argmax()), np.bool_)
