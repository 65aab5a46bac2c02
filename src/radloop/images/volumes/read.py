"""Read one volume from wherever it lies: a folder of DICOM files, one of them, or a NIfTI file."""

from __future__ import annotations

import re
from pathlib import Path

from radloop.images.image import Reading
from radloop.images.limits import VOLUME_LIMITS, ReadLimits
from radloop.images.nifti import is_nifti, read_nifti
from radloop.images.verdict import refused
from radloop.images.volume_operations import resample
from radloop.images.volumes.assemble import read_series
from radloop.images.volumes.series import Folder, Series, find_series


def read_volume(
    path: Path,
    *,
    series: str | None = None,
    spacing: tuple[float, float, float] | None = None,
    even_out: bool = False,
    limits: ReadLimits = VOLUME_LIMITS,
) -> Reading:
    """The only volume at `path`, `(z, y, x)`, in the modality's units.

    series: the SeriesInstanceUID of the one to read, of a folder with several; `path` may name it
    too, see `series_of`. spacing, even_out: see `read_series`. Scouts, screenshots, reports and
    other files beside the volume do not disturb.

    Refusals are those of the series and of its pixels, those of `read_nifti`, and "no_series",
    "several_series".
    """
    if series is None and (named := series_of(path)):
        path, series = named
    if path.is_file() and is_nifti(path):
        reading = read_nifti(path, limits)
        if reading.image is None or spacing is None:
            return reading
        return Reading(resample(reading.image, spacing), reading.verdict)
    found = find_series([path], limits)
    candidates = [s for s in found.series if series in (None, s.uid)]
    usable = [s for s in candidates if not _hopeless(s, even_out)]
    if len(usable) > 1:
        return Reading(None, refused("several_series", _several(usable)))
    if not usable and len(candidates) == 1:
        return Reading(None, candidates[0].verdict)
    if not usable:
        return Reading(None, refused("no_series", _nothing(found, candidates)))
    return read_series(usable[0], spacing=spacing, even_out=even_out, limits=limits)


def series_of(path: Path) -> tuple[Path, str] | None:
    """The folder and the SeriesInstanceUID of a path `FOLDER/UID`, which names one series of a
    folder that holds several; None for a path that exists, or is none of this form."""
    if path.exists() or not path.parent.is_dir() or not re.fullmatch(r"[0-9.]{5,64}", path.name):
        return None
    return path.parent, path.name


def _hopeless(series: Series, even_out: bool) -> bool:
    return series.layout is None or (series.layout.uneven is not None and not even_out)


def _several(usable: list[Series]) -> str:
    named = ", ".join(f"{s.name}" for s in usable[:6])
    return (
        f"There are {len(usable)} volumes here: {named}. Give the folder of one, or its series UID."
    )


def _nothing(found: Folder, candidates: list[Series]) -> str:
    if candidates:
        reasons = ", ".join(f"{s.name}: {s.verdict.code}" for s in candidates[:6])
        return f"None of the {len(candidates)} series here can be read ({reasons})."
    kinds = sorted({verdict.code for verdict in found.others.values() if verdict})
    beside = f" Among {len(found.others)} other files: {', '.join(kinds)}." if kinds else ""
    return f"There is no volume here, neither DICOM slices nor a NIfTI file.{beside}"
