"""`radloop findings`: the findings of `predict` as DICOM objects and FHIR."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radloop.cli.console import (
    REFUSED,
    Json,
    Quiet,
    progress_bar,
    result,
    result_json,
)
from radloop.errors import InputError

if TYPE_CHECKING:
    from radloop.findings.finding import Prediction

FHIR = "fhir"
ALL = "sr,seg,gsps,sc,fhir"


def findings(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder `predict` wrote.")],
    source: Annotated[
        list[Path],
        typer.Option(metavar="PATH", help="What `predict` was given as INPUT; repeatable."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to.")],
    to: Annotated[str, typer.Option(metavar="KINDS", help="Which of sr, seg, gsps, sc, fhir.")] = (
        ALL
    ),
    release: Annotated[str, typer.Option(help="Of FHIR: R4 or R5.")] = "R4",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write findings as DICOM objects of the patient's study, and as FHIR: one folder a case.

    Ends with 3 when a case has nothing to refer to; each is listed with its reason.
    """
    from radloop.findings.forms import read_predictions
    from radloop.inference.files import file_name

    kinds = [kind.strip() for kind in to.split(",") if kind.strip()]
    unknown = sorted(set(kinds) - set(ALL.split(",")))
    if unknown or not kinds:
        raise InputError(f"There is no kind '{(unknown or [''])[0]}'.", f"Some of {ALL}.")
    rows, missed = [], 0
    predictions = read_predictions(folder)
    files = _files(predictions, source)
    with progress_bar("writing", quiet) as progress:
        for done, prediction in enumerate(predictions, start=1):
            row = _write(
                prediction, folder, files.get(prediction.case_id, []), kinds, release,
                out / file_name(prediction.case_id),
            )  # fmt: skip
            rows.append(row)
            missed += bool(row["missed"])
            progress(done, len(predictions))
    if as_json:
        result_json({"out": str(out), "cases": rows})
    else:
        written = sum(len(row["written"]) for row in rows)
        result(f"{written} files of {len(rows)} cases in {out}")
        for row in rows:
            if row["missed"]:
                result(f"{row['case_id']}: no DICOM objects: {row['missed']}")
                continue
            for kind, why in row["left_out"].items():
                result(f"{row['case_id']}: no {kind}: {why}")
    if missed:
        raise typer.Exit(REFUSED)


def _files(predictions: list[Prediction], source: list[Path]) -> dict[str, list[Path]]:
    """Case -> the files that were read, found as `predict` finds and names them."""
    from radloop.images.volumes.series import find_series
    from radloop.inference.predict import list_items
    from radloop.systems.registry import get_system

    found: dict[str, list[Path]] = {}
    systems = {prediction.system for prediction in predictions}
    for scans in {get_system(name).reads_scans for name in systems}:
        for item in list_items(source, scans):
            path = next(iter(item.images.values()))
            if path.is_file():
                found.setdefault(item.case_id, [path])
                continue
            uid, place = (path.name, path.parent) if not path.exists() else ("", path)
            series = find_series([place]).series
            found.setdefault(
                item.case_id,
                [file for one in series if uid in ("", one.uid) for file in one.files],
            )
    return found


def _write(
    prediction: Prediction,
    folder: Path,
    files: list[Path],
    kinds: list[str],
    release: str,
    out: Path,
) -> dict[str, Any]:
    from radloop.findings.dicom.marks import SourceError
    from radloop.findings.dicom.objects import make_objects
    from radloop.findings.dicom.sources import read_sources
    from radloop.findings.fhir import StudyFacts, bundle_of, study_facts
    from radloop.images.write import write_bytes, write_text

    written: list[str] = []
    left_out: dict[str, str] = {}
    facts = StudyFacts(patient_id=prediction.patient_id)
    wanted = [kind for kind in kinds if kind != FHIR]
    missed = ""
    try:
        headers = read_sources(files).headers
        facts = study_facts(headers)
        if wanted:
            key = f"{prediction.model.sha256}/{headers[0].SOPInstanceUID}"
            made = make_objects(prediction, folder, headers, key=key, kinds=wanted)
            left_out = made.left_out
            for one in made.objects:
                write_bytes(out / one.name, one.dataset_bytes)
                written.append(one.name)
    except SourceError as error:
        missed = str(error)
    if FHIR in kinds:
        bundle = bundle_of(prediction, facts, release=release)  # type: ignore[arg-type]
        write_text(out / "fhir.json", json.dumps(bundle, indent=1, ensure_ascii=False) + "\n")
        written.append("fhir.json")
    return {
        "case_id": prediction.case_id,
        "written": written,
        "left_out": left_out,
        "missed": missed if wanted else "",
    }
