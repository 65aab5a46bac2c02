"""A case table with the labels in force, now or at any earlier version, and what every reader said.

The table is the one that the project was made of, with its own columns as they were, except
`label:<question>` (or one column a class), `reader:<who>:<question>`, and `label_version`, which
names the labels: the same name, the same labels. Items that the table has and the project does not
keep theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from radloop.cases.case import Case, Reference
from radloop.cases.csv_text import csv_text, read_rows
from radloop.cases.table import CaseTable, number_of, read_cases, write_cases
from radloop.images.write import write_text
from radloop.labelling.state import Question, State

VERSION = "label_version"
Said = Mapping[str, Mapping[str, int | None]]


@dataclass(frozen=True)
class Exported:
    """What was written. version: of the labels. known: items with a label. moved: cases of the
    table that the project knows."""

    path: Path
    version: str
    known: int
    moved: int


def export(state: State, project: Path, out: Path, cases: Path | None = None) -> Exported:
    """Write the case table of a state to `out`.

    cases: another table than the one the project was made of, for the cases they share. For slices,
    a folder `<out>-slices` with a table a scan is written too; the case's own label is 1 where a
    slice has it, 0 where all are known not to. Raises CaseTableError, WriteError.
    """
    table = read_cases(cases or project / state.settings.cases)
    by_slice = state.settings.by_slice
    by_case: dict[str, list[str]] = {}
    for item in state.items.values():
        by_case.setdefault(item.case_id, []).append(item.name)
    said = _said(state)
    changed, extra = [], []
    for index, case in enumerate(table.cases):
        names = by_case.get(case.case_id, [])
        if names and by_slice:
            case = _with_slices(state, said, case, out)
        elif names:
            case = replace(case, reference=_relabelled(state, said, case.reference, names[0]))
        changed.append(case)
        extra.append({**(table.extra[index] if table.extra else {}), VERSION: state.version.name})
    written = CaseTable(out, _columns(table, state, changed), tuple(changed), tuple(extra))
    write_cases(written, out)
    known = sum(state.label(name) is not None for name in state.items)
    moved = sum(case.case_id in by_case for case in table.cases)
    return Exported(out, state.version.name, known, moved)


def _names(question: Question) -> tuple[str, ...]:
    return question.classes or (question.name,)


def _cells(question: Question, value: int | None) -> dict[str, bool]:
    """A value as labels of the case table: none when unknown, one true of the classes."""
    if value is None:
        return {}
    if not question.classes:
        return {question.name: bool(value)}
    return {name: k == value for k, name in enumerate(question.classes)}


def _relabelled(state: State, said: Said, reference: Reference, item: str) -> Reference:
    question = state.settings.question
    others = {k: v for k, v in reference.labels.items() if k not in _names(question)}
    given = {
        (reader, name): float(flag)
        for reader, value in said.get(item, {}).items()
        for name, flag in _cells(question, value).items()
    }
    return replace(
        reference,
        labels=others | _cells(question, state.label(item)),
        readers={**reference.readers, **given},
    )


def _said(state: State) -> Said:
    """What every reader and adjudicator says of each item, in the order in which they first did."""
    found: dict[str, dict[str, int | None]] = {}
    for (item, reader), answer in state.answers.items():
        found.setdefault(item, {})[reader] = answer.value
    return found


def _with_slices(state: State, said: Said, case: Case, out: Path) -> Case:
    """The case with a table of slices of its own, and the label that follows from it."""
    question = state.settings.question
    source = case.reference.slices
    assert source is not None  # the items came from it
    columns, rows = read_rows(source)
    ordered = sorted(rows, key=lambda row: number_of(row.cells["slice"]) or 0.0)
    place = {row.number: k for k, row in enumerate(ordered)}
    written, values = [], []
    more: dict[str, None] = dict.fromkeys(_names(question))
    for row in rows:
        cells: dict[str, str] = dict(row.cells)
        file = cells.get("file", "").strip()
        item = f"{case.case_id}/{file or place[row.number]}"
        if item in state.items:
            value = state.label(item)
            values.append(value)
            cells |= _text(question, value)
            for reader, answer in said.get(item, {}).items():
                given = {f"reader:{reader}:{n}": c for n, c in _text(question, answer).items()}
                cells |= given
                more |= dict.fromkeys(given)
        written.append(cells)
    path = out.parent / f"{out.stem}-slices" / f"{case.case_id.replace('/', '_')}.csv"
    write_text(path, csv_text((*columns, *(n for n in more if n not in columns)), written))
    labels = {k: v for k, v in case.reference.labels.items() if k not in _names(question)}
    if not question.classes:
        if any(values):
            labels[question.name] = True
        elif values and None not in values:
            labels[question.name] = False
    return replace(case, reference=replace(case.reference, labels=labels, slices=path))


def _text(question: Question, value: int | None) -> dict[str, str]:
    """A value as cells of a table: empty when unknown."""
    known = _cells(question, value)
    return {name: str(int(known[name])) if name in known else "" for name in _names(question)}


def _columns(table: CaseTable, state: State, cases: list[Case]) -> tuple[str, ...]:
    """The table's columns, then those that are new: labels, readers, the version."""
    labels = [f"label:{name}" for name in _names(state.settings.question)]
    readers: Mapping[str, None] = dict.fromkeys(
        f"reader:{who}:{name}" for case in cases for who, name in case.reference.readers
    )
    new = [*labels, *readers, VERSION]
    return (*table.columns, *(name for name in new if name not in table.columns))
