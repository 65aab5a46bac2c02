"""De-identify the DICOM files of a folder into another, with a log that holds no original."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import MPEGTransferSyntaxes

from radloop.errors import InputError
from radloop.images.deidentify.burned_in import warnings_of
from radloop.images.deidentify.dataset import deidentify
from radloop.images.deidentify.profile import Options
from radloop.images.deidentify.pseudonyms import Pseudonyms
from radloop.images.dicom_pixels import decode
from radloop.images.read import looks_like_dicom, open_file
from radloop.images.verdict import Refusal, Verdict, refused
from radloop.images.write import atomic_path, write_text

LOG = "deidentified.jsonl"
_TEXTS = {"SR", "DOC", "PR", "KO", "AU", "PLAN", "HC"}
_BASIC = Options()
_BURNED_IN = {"burned_in_stated", "burned_in_likely", "burned_in_text"}


@dataclass
class Summary:
    """What a run did: files written, warned of, refused (by name, for the person at the console)
    and left out because they are not DICOM."""

    written: int = 0
    warned: int = 0
    not_dicom: int = 0
    refused: dict[str, Verdict] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)


def deidentify_folder(
    inputs: Sequence[Path],
    out: Path,
    pseudonyms: Pseudonyms,
    options: Options = _BASIC,
    *,
    refuse_burned_in: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Write every DICOM image below `inputs`, de-identified, to `out`.

    Files are named by their new identifiers, `<patient>/<study>/<series>/<instance>.dcm`: an old
    name may hold a patient's. Only DICOM images are written; reports, documents, presentation
    states and videos are refused, and what is not DICOM (DICOMDIR too) is left out. The log has a
    line a DICOM file, numbered in the order of the sorted paths, with new identifiers only. The
    same input under the same key gives the same files, so an interrupted run is simply repeated.

    Raises InputError when `out` lies in an input or there is no DICOM file.
    """
    for given in inputs:
        if not given.exists():
            raise InputError(f"There is no '{given.name}'.", "Check the path.")
        if out.resolve() == given.resolve() or given.resolve() in out.resolve().parents:
            raise InputError(
                "The output folder lies in the input.", "Choose a folder outside of it."
            )
    files = sorted(_files(inputs))
    summary = Summary()
    lines = []
    for number, path in enumerate(files, start=1):
        entry, verdict = _one(path, out, pseudonyms, options, refuse_burned_in)
        if entry is None:
            summary.not_dicom += 1
        else:
            lines.append({"input": number} | entry)
            summary.codes[verdict.code] += 1
            summary.written += not verdict.refused
            summary.warned += verdict.status == "warned"
            if verdict.refused:
                summary.refused[path.name] = verdict
        if progress is not None:
            progress(number, len(files))
    if not lines:
        raise InputError("There is no DICOM file in the input.", "Give a folder of DICOM files.")
    write_text(out / LOG, "".join(json.dumps(line) + "\n" for line in lines))
    return summary


def _files(inputs: Sequence[Path]) -> Iterator[Path]:
    for given in inputs:
        if given.is_dir():
            yield from (path for path in given.rglob("*") if path.is_file())
        else:
            yield given


def _one(
    path: Path, out: Path, pseudonyms: Pseudonyms, options: Options, refuse_burned_in: bool
) -> tuple[dict[str, Any] | None, Verdict]:
    """The log's entry, None for what is not DICOM, and the verdict."""
    try:
        with open_file(path) as file:
            if not looks_like_dicom(file.read(132)):
                return None, Verdict()
            file.seek(0)
            dataset = pydicom.dcmread(file, force=True)
            if "SOPClassUID" not in dataset and dataset.file_meta:
                return None, Verdict()  # a DICOMDIR, or nothing after the meta information
            _check_kind(dataset)
            verdict = warnings_of(dataset, _pixels(dataset))
            burned_in = verdict.code in _BURNED_IN
            if burned_in and refuse_burned_in:
                raise Refusal(verdict.code, " ".join(verdict.messages))
            counts = deidentify(dataset, pseudonyms, options)
            target = _target(dataset, out)
            with atomic_path(target) as temporary:
                dataset.save_as(temporary, enforce_file_format=True)
    except Refusal as refusal:
        return {"verdict": refusal.verdict.to_json()}, refusal.verdict
    except EOFError:
        verdict = refused("truncated", "The DICOM file is cut off. Copy or export it again.")
        return {"verdict": verdict.to_json()}, verdict
    except (AttributeError, KeyError, TypeError, ValueError, NotImplementedError):
        # A parser fed with damaged bytes; what it says of them may quote them.
        verdict = refused("corrupt", "The DICOM file is damaged. Export it again.")
        return {"verdict": verdict.to_json()}, verdict
    entry = {
        "file": str(target.relative_to(out)),
        "sop_class": str(dataset.SOPClassUID),
        "actions": dict(sorted(counts.items())),
        "verdict": verdict.to_json(),
    }
    return entry, verdict


def _check_kind(dataset: Dataset) -> None:
    modality = str(dataset.get("Modality") or "")
    if modality in _TEXTS or "EncapsulatedDocument" in dataset or "ContentSequence" in dataset:
        raise Refusal(
            "free_text",
            "A report, a document or annotations: free text that no rule can clean. Leave it out, "
            "or have a person write it anew.",
        )
    if "PixelData" not in dataset:
        raise Refusal(
            "no_pixels",
            "The DICOM file holds no pixels, or was cut off before them. Only images are "
            "de-identified.",
        )
    if dataset.file_meta.get("TransferSyntaxUID") in MPEGTransferSyntaxes:
        raise Refusal("video", "A video: its frames cannot be looked at here. Leave it out.")
    if "TransferSyntaxUID" not in dataset.file_meta:
        raise Refusal(
            "unknown_transfer_syntax",
            "The DICOM file does not say how it is stored (transfer syntax). Export it again.",
        )
    if not dataset.get("SOPInstanceUID"):
        raise Refusal("missing_header", "The DICOM file has no SOPInstanceUID. Export it again.")


def _pixels(dataset: Dataset) -> npt.NDArray[Any] | None:
    many = int(dataset.get("NumberOfFrames") or 1) > 1
    try:
        return decode(dataset, 0 if many else None)
    except Refusal:
        return None


def _target(dataset: Dataset, out: Path) -> Path:
    study, series = (
        str(dataset.get(w) or "none") for w in ("StudyInstanceUID", "SeriesInstanceUID")
    )
    patient = str(dataset.get("PatientID") or "none")
    return out / patient / study / series / f"{dataset.SOPInstanceUID}.dcm"
