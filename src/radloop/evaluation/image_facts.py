"""What a file tells of an image without any model: size, spacing, greys, facts of the acquisition.

These are the properties by which two sites differ before anybody looks at the patients.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from radloop.images.image import Reading
from radloop.images.read import read_radiograph
from radloop.images.slice_folder import is_slice_folder, read_slice_folder

_WORDS = ("format", "manufacturer", "scanner", "view", "photometric", "body_part", "bits")
_PERCENTILES = (1, 25, 50, 75, 99)
_MOST = 2_000_000


def image_facts(path: Path) -> dict[str, str | float]:
    """Names with their values: numbers as floats, words as they stand.

    Of an image that is refused, the verdict's code alone. Greys are those of the file, in its own
    unit, of at most two million evenly spread pixels. `sharpness` is the mean step between
    neighbours along a row, over the standard deviation of the greys.
    """
    reading = _read(path)
    facts: dict[str, str | float] = {"verdict": reading.verdict.code}
    image = reading.image
    if image is None:
        return facts
    array = np.asarray(image.array)
    grey = array.reshape(-1)[:: max(1, array.size // _MOST)].astype(np.float64)
    spread = float(grey.std())
    facts |= {f"grey p{p}": float(v) for p, v in zip(_PERCENTILES, np.percentile(
        grey, _PERCENTILES), strict=True)}  # fmt: skip
    facts["grey sd"] = spread
    rows = array.reshape(-1, array.shape[-1])[:: max(1, array.size // _MOST)].astype(np.float64)
    if spread > 0 and rows.shape[1] > 1:
        facts["sharpness"] = float(np.abs(np.diff(rows, axis=1)).mean() / spread)
    axes = ("slices", "height", "width")[-array.ndim :]
    facts |= {name: float(n) for name, n in zip(axes, array.shape[: len(axes)], strict=False)}
    if image.geometry.spacing is not None:
        facts |= {
            f"spacing of {name}": float(mm)
            for name, mm in zip(axes, image.geometry.spacing, strict=False)
        }
    facts["modality"] = image.modality
    facts |= {name: str(image.acquisition[name]) for name in _WORDS if image.acquisition.get(name)}
    return facts


def _read(path: Path) -> Reading:
    """A film, a folder of slices, or a volume, by what the path is."""
    from radloop.images.volumes.read import read_volume, series_of

    if is_slice_folder(path):
        return read_slice_folder(path)
    if path.is_dir() or series_of(path) or path.name.lower().endswith((".nii", ".nii.gz")):
        return read_volume(path)
    return read_radiograph(path)
