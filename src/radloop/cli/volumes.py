"""`radloop series` and `convert`: what a folder of DICOM files holds, and one volume of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radloop.cli.console import REFUSED, Json, Quiet, message, result, result_json, result_table
from radloop.errors import InputError

if TYPE_CHECKING:
    from radloop.images.volumes.series import Series


def series(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Folders or files, mixed as they are.")
    ],
    as_json: Json = False,
) -> None:
    """List the series of DICOM folders, each with its verdict.

    Ends with 3 when a series was refused, or a file could not be read.
    """
    from radloop.images.volumes.series import find_series

    found = find_series(inputs)
    rows = [_row(one) for one in found.series]
    others = [
        {"file": path.name} | verdict.to_json()
        for path, verdict in found.others.items()
        if verdict is not None
    ]
    if as_json:
        ignored = sum(verdict is None for verdict in found.others.values())
        result_json({"series": rows, "other_files": others, "not_dicom": ignored})
    else:
        _show(rows, others)
    lost = {"corrupt", "truncated", "empty_file", "no_permission", "unreadable_file"}
    if any(r["verdict"]["status"] == "refused" for r in rows) or any(
        other["code"] in lost for other in others
    ):
        raise typer.Exit(REFUSED)


def _row(one: Series) -> dict[str, Any]:
    row: dict[str, Any] = {
        "series_uid": one.uid,
        "modality": one.modality,
        "description": one.description,
        "volume": one.volume,
        "files": len(one.files),
        "verdict": one.verdict.to_json(),
    }
    if one.layout is not None:
        planes = one.layout.planes
        row["shape"] = list(planes.shape)
        row["pixel_spacing_mm"] = list(planes.spacing)
        row["gaps_mm"] = sorted({round(gap, 2) for gap in one.layout.gaps})
        row["tilt_degrees"] = round(one.layout.tilt, 2)
    return row


def _show(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("series", "slices", "gaps", "verdict", "what to know")
    for row in rows:
        name = " ".join(w for w in (row["modality"], row["description"], row["volume"]) if w)
        verdict = row["verdict"]
        gaps = " / ".join(f"{gap:g}" for gap in row.get("gaps_mm", [])[:4])
        count = row["shape"][0] if "shape" in row else row["files"]
        table.add_row(
            name or "no name", str(count), gaps, verdict["code"], " ".join(verdict["messages"])
        )
    result_table(table)
    for other in others:
        result(f"{other['file']}: {other['code']}. {' '.join(other['messages'])}")


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A DICOM folder, one of its files, or NIfTI.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The .nii.gz (or .nii) to write.")],
    series_uid: Annotated[
        str | None, typer.Option("--series", metavar="UID", help="Which of several series.")
    ] = None,
    spacing: Annotated[
        str | None,
        typer.Option(metavar="MM", help="Resample: one number, or three as z,y,x."),
    ] = None,
    resample_gaps: Annotated[
        bool,
        typer.Option("--resample-gaps", help="Interpolate uneven or missing slices, and say so."),
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a volume as NIfTI, in the patient's millimetres.

    Ends with 3 when the volume was refused.
    """
    if not out.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"'{out.name}' is no NIfTI name.", "End it with .nii.gz or .nii.")
    if not source.exists():
        raise InputError(f"There is no '{source.name}'.", "Check the path.")
    from radloop.images.nifti import write_nifti
    from radloop.images.volumes.read import read_volume

    reading = read_volume(
        source, series=series_uid, spacing=_spacing(spacing), even_out=resample_gaps
    )
    image, verdict = reading.image, reading.verdict
    if image is not None:
        write_nifti(image.array, image.geometry, out)
    if as_json:
        geometry = image.geometry if image else None
        result_json(
            {
                "verdict": verdict.to_json(),
                "out": str(out) if image else None,
                "shape": geometry.shape if geometry else None,
                "spacing_mm": geometry.spacing if geometry else None,
            }
        )
    else:
        for sentence in verdict.messages:
            message(sentence, quiet and image is not None)
    if image is None:
        raise typer.Exit(REFUSED)
    if not as_json:
        shape = " x ".join(map(str, image.array.shape))
        result(f"{out}: {shape} voxels of {_millimetres(image.geometry.spacing)} mm (z, y, x)")


def _spacing(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        raise InputError(f"'{text}' is no spacing.", "Give one number, or three as z,y,x.")
    return values[0], values[1], values[2]


def _millimetres(spacing: tuple[float, ...] | None) -> str:
    return " x ".join(f"{value:.3g}" for value in spacing or ())
