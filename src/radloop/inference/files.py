"""The files of one case's prediction: masks, tables, documents, pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from radloop.cases.csv_text import csv_text
from radloop.errors import InputError
from radloop.images.image import Image
from radloop.images.nifti import write_nifti, write_nifti_like
from radloop.images.segmentation import write_segmentation
from radloop.images.volume_operations import labels_to_original
from radloop.images.volumes.series import find_series
from radloop.images.write import write_jpeg, write_png, write_text
from radloop.inference.engine import Array
from radloop.inference.heatmaps import HeatMaps
from radloop.inference.pipeline import Result
from radloop.systems.model import Model


def file_name(case_id: str) -> str:
    """The case's name as that of a file: no separators, nothing a shell would mind."""
    return re.sub(r"[^\w.\-]", "_", case_id)


def write_files(model: Model, result: Result, out: Path, cam: HeatMaps | None) -> dict[str, str]:
    """Mask, table of slices, documents, and with `cam` the pictures of one case; names relative to
    `out`."""
    image, read = result.image, result.interpretation
    if image is None or read is None:
        return {}
    files: dict[str, str] = {}
    name = file_name(result.item.case_id)
    if read.labels is not None:
        files |= _write_masks(model, image, read.labels, out, name)
    if read.slices:
        files["slices"] = f"slices/{name}.csv"
        names = image.acquisition.get("slices", ())
        rows = [
            {"slice": str(k), "file": names[k] if names else ""}
            | {name: f"{value:.4f}" for name, value in row.items() if not name.endswith("_logit")}
            for k, row in enumerate(read.slices)
        ]
        write_text(out / files["slices"], csv_text(tuple(rows[0]), rows))
    for kind, document in read.documents.items():
        files[kind] = f"{kind}s/{name}.json"
        named = {**document, "case_id": result.item.case_id}
        write_text(out / files[kind], json.dumps(named, indent=1) + "\n")
    if cam is not None:

        def explain(slices: Sequence[int]) -> Array:
            return cam(model.system.prepare(image, model.size), slices)

        pictures = model.system.draw(image, read, result.verdict.refused, explain)
        for kind, picture in pictures.items():
            key = f"{kind}_picture" if kind else "picture"
            files[key] = f"pictures/{name}{'-' + kind if kind else ''}.jpg"
            write_jpeg(out / files[key], picture)
    return files


def _write_masks(
    model: Model, image: Image, labels: npt.NDArray[np.uint8], out: Path, name: str
) -> dict[str, str]:
    """A film's label map as PNG; a volume's as NIfTI on the grid of its file, and beside it, where
    that was a DICOM series, as a DICOM segmentation of its slices."""
    if labels.ndim == 2:
        write_png(out / f"masks/{name}.png", labels)
        return {"mask": f"masks/{name}.png"}
    files = {"mask": f"masks/{name}.nii.gz"}
    mask = out / files["mask"]
    if image.acquisition.get("format") == "NIfTI":
        write_nifti_like(labels, Path(image.source), mask)
        return files
    write_nifti(labels, image.geometry, mask)
    series = find_series([Path(image.source)]).series
    layouts = [s.layout for s in series if s.uid == image.acquisition.get("series_uid")]
    if layouts and layouts[0] is not None:
        on_slices = labels_to_original(labels, image)
        try:
            described = model.system.segments()
            write_segmentation(
                on_slices, layouts[0].slices, described, out / f"masks/{name}.dcm",
                description=f"{model.system.title} (Radloop)",
            )  # fmt: skip
        except InputError:  # slices that a DICOM segmentation cannot refer to
            return files
        files["segmentation"] = f"masks/{name}.dcm"
    return files
