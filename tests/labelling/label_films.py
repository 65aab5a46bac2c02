"""Made-up projects: a case table of small films, predictions, and readers who fill in sheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from radloop.labelling.project import start
from radloop.labelling.state import Question, State


def write_cases(
    folder: Path, labels: Sequence[int | None], splits: Sequence[str] = (), *, films: bool = False
) -> Path:
    """`cases.csv` of the cases c00, c01, ...; films: real pictures, else empty files."""
    rows = []
    for k, label in enumerate(labels):
        image = folder / "films" / f"c{k:02}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        if films:
            noise = np.random.default_rng(k).integers(0, 255, (40 + k, 30), np.uint8)
            assert cv2.imwrite(str(image), noise)
        else:
            image.touch()
        split = splits[k] if splits else ""
        cell = "" if label is None else label
        rows.append(f"c{k:02},p{k},{split},films/{image.name},{cell}")
    path = folder / "cases.csv"
    path.write_text("\n".join(["case_id,patient_id,split,image,label:broken", *rows]) + "\n")
    return path


def write_scans(folder: Path, slices: Mapping[str, Sequence[int | None]]) -> Path:
    """A table of scans as folders of pictures, with a table of slices each."""
    rows = []
    for name, labels in slices.items():
        lines = ["slice,file,broken,other"]
        for k, label in enumerate(labels, start=1):
            image = folder / "scans" / name / f"{k}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(image), np.full((32, 32), 20 * k, np.uint8))
            lines.append(f"{k},{k}.png,{'' if label is None else label},0")
        table = folder / "slices" / f"{name}.csv"
        table.parent.mkdir(exist_ok=True)
        table.write_text("\n".join(lines) + "\n")
        rows.append(f"{name},{name},scans/{name},slices/{name}.csv,")
    path = folder / "cases.csv"
    path.write_text("\n".join(["case_id,patient_id,image,slices,label:broken", *rows]) + "\n")
    return path


def write_predictions(path: Path, probabilities: Mapping[str, float]) -> Path:
    lines = [f"{name},{value}" for name, value in probabilities.items()]
    path.write_text("\n".join(["case_id,probability", *lines]) + "\n")
    return path


def make(
    folder: Path,
    labels: Sequence[int | None],
    readers: Sequence[str] = ("anna",),
    adjudicator: str = "",
    **more: object,
) -> Path:
    """A project of made-up cases, started."""
    cases = write_cases(folder, labels)
    if len(readers) > 1 and not adjudicator:
        adjudicator = "chief"
    project = folder / "project"
    start(project, cases, Question("broken"), readers=readers, adjudicator=adjudicator, **more)  # type: ignore[arg-type]
    return project


def fill(sheet: Path, answers: Mapping[str, str] | str, out: Path | None = None) -> Path:
    """Write answers by item, or one for all, into a sheet."""
    rows = list(csv.DictReader(io.StringIO(sheet.read_text())))
    for row in rows:
        row["answer"] = answers if isinstance(answers, str) else answers.get(row["item"], "")
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    target = out or sheet
    target.write_text(text.getvalue())
    return target


def items_of_sheet(sheet: Path) -> list[str]:
    return [row["item"] for row in csv.DictReader(io.StringIO(sheet.read_text()))]


def labels_of(state: State) -> dict[str, int | None]:
    return {name: state.label(name) for name in state.items}
