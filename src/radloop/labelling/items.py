"""The items of a case table: one a case, or one a slice, with the label each came with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from radloop.cases.case import Case
from radloop.cases.csv_text import Row, read_rows
from radloop.cases.table import LABEL_CELLS, CaseTable, number_of
from radloop.errors import CaseTableError, InputError
from radloop.labelling.state import Question

LOCKED = "test"


def items_of(
    table: CaseTable,
    question: Question,
    project: Path,
    *,
    by_slice: bool = False,
    splits: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The rows that the log keeps of the table's items; image paths relative to `project`.

    splits: only these; without, every case but those of the split `test`: labels that were
    corrected where a model erred would flatter that model. Slices come from the cases' tables of
    slices; a case without one gives none.

    Raises InputError for a split that is not there, for no item at all, and for a table that says
    nothing of the question's classes; CaseTableError for a case of two classes.
    """
    unknown = [name for name in splits if name not in table.splits]
    if unknown:
        table.only(unknown[0])  # says which there are
    cases = [c for c in table.cases if (c.split in splits if splits else c.split != LOCKED)]
    rows = [
        row
        for case in cases
        for row in (_slices(case, question, project) if by_slice else [_case(case, question)])
    ]
    if not rows:
        raise InputError(
            f"{table.path.name} has nothing to ask about"
            + (": no case has a table of slices." if by_slice and cases else "."),
            "Cases of the split 'test' are left out unless --split names it.",
        )
    for row in rows:
        row["image"] = _relative(row["image"], project)
    return rows


def _case(case: Case, question: Question) -> dict[str, Any]:
    labels = {name: bool(value) for name, value in case.reference.labels.items()}
    row: dict[str, Any] = {"item": case.case_id, "case": case.case_id, "image": case.image}
    value = _value(labels, question, case.case_id)
    return row | ({} if value is None else {"label": value})


def _slices(case: Case, question: Question, project: Path) -> list[dict[str, Any]]:
    """One row a slice: by its file where slices are pictures, else by its place."""
    path = case.reference.slices
    if path is None:
        return []
    rows = sorted(read_rows(path)[1], key=_number)
    found = []
    for place, row in enumerate(rows):
        file = row.cells.get("file", "").strip()
        one: dict[str, Any] = {"item": f"{case.case_id}/{file or place}", "case": case.case_id}
        one["image"] = case.image / file if file else case.image
        if not file:
            one["slice"] = place
        labels = {
            name: LABEL_CELLS[cell.strip()]
            for name, cell in row.cells.items()
            if cell.strip() in LABEL_CELLS and name in (question.classes or (question.name,))
        }
        value = _value(labels, question, one["item"])
        found.append(one | ({} if value is None else {"label": value}))
    return found


def _number(row: Row) -> float:
    number = number_of(row.cells.get("slice", ""))
    if number is None:
        raise CaseTableError("A table of slices has a row without a number.", "Number its slices.")
    return number


def _value(labels: dict[str, bool], question: Question, name: str) -> int | None:
    if not question.classes:
        known = labels.get(question.name)
        return None if known is None else int(known)
    true = [k for k, one in enumerate(question.classes) if labels.get(one)]
    if len(true) > 1:
        both = " and ".join(question.classes[k] for k in true[:2])
        raise CaseTableError(
            f"The item '{name}' is of the classes {both}.",
            "Ask about classes that exclude each other, or about one label at a time.",
        )
    return true[0] if true else None


def _relative(path: Path, project: Path) -> str:
    return Path(os.path.relpath(path.resolve(), project.resolve())).as_posix()
