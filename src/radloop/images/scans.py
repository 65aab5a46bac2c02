"""Scans and films by path alone: what lies in a folder, and reading whatever a case names."""

from __future__ import annotations

import os
from pathlib import Path

from radloop.errors import InputError
from radloop.images.image import Reading
from radloop.images.nifti import is_nifti
from radloop.images.read import is_candidate, read_radiograph
from radloop.images.slice_folder import is_slice_folder, read_slice_folder
from radloop.images.volumes.read import read_volume, series_of
from radloop.images.volumes.series import find_series


def find_scans(path: Path) -> list[Path]:
    """The scans at `path`, sorted: a file as given; of a folder, every NIfTI file in it and every
    folder in it, itself included, that directly holds other candidates (DICOM, pictures). A folder
    with several series that can be read gives one path a series, `FOLDER/UID`.

    Raises InputError when there is nothing to read.
    """
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for parent, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [Path(parent, name) for name in names if is_candidate(name)]
        volumes = [file for file in files if is_nifti(file)]
        found += volumes
        if len(files) > len(volumes):
            found += _series(Path(parent), files)
    if not found:
        raise InputError(
            f"The folder {path.name or path} holds no scans.",
            "Give a folder of DICOM slices, of pictures, or NIfTI files.",
        )
    return sorted(found)


def read_image(path: Path) -> Reading:
    """A film `(y, x)` from a file; a scan `(z, y, x)` from a folder, a series in one, or NIfTI."""
    if path.is_dir():
        return read_slice_folder(path) if is_slice_folder(path) else read_volume(path)
    return read_volume(path) if is_nifti(path) or series_of(path) else read_radiograph(path)


def _series(folder: Path, files: list[Path]) -> list[Path]:
    if is_slice_folder(folder):
        return [folder]
    readable = {s.uid for s in find_series(files).series if s.layout is not None}
    return [folder / uid for uid in sorted(readable)] if len(readable) > 1 else [folder]
