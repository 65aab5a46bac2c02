"""Readers of whom only a 2x2 table is known, as papers print them: `reader, tp, fp, tn, fn`.

Who called which case is not known, so nothing is paired: the differences have the interval for
samples of different cases, which is too wide where readers agree more than by chance, as they
nearly always do. A paper that states a sensitivity alone, or precision and recall of boxes, leaves
`fp` or `tn` unknown (empty); what needs them is unknown then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radloop.cases.csv_text import Row, read_rows
from radloop.errors import CaseTableError, InputError
from radloop.evaluation.readers.single import Kind, Single, shares_of
from radloop.measures.classification import Confusion
from radloop.measures.interval import Interval
from radloop.measures.kappa import cohen_kappa
from radloop.measures.margin import Verdict, non_inferiority
from radloop.measures.proportions import newcombe_difference

NEEDED = ("reader", "tp", "fp", "tn", "fn")
MAY_BE_UNKNOWN = ("fp", "tn")
NEEDS = {
    "sensitivity": (),
    "specificity": ("fp", "tn"),
    "accuracy": ("fp", "tn"),
    "youden": ("fp", "tn"),
    "ppv": ("fp",),
    "npv": ("tn",),
}
MOST = 10_000_000


@dataclass(frozen=True)
class Unpaired:
    """The model minus a reader, by their tables alone."""

    reader: str
    endpoint: str
    difference: Interval
    verdict: Verdict | None = None


def read_counts(path: Path, model: str = "model") -> list[Single]:
    """The tables of a file, one a row; optional columns are `group` and `modality`.

    The row whose reader is called `model` is the model's. Raises CaseTableError for missing
    columns, counts that are no whole numbers, and a doubled reader.
    """
    columns, rows = read_rows(Path(path))
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise CaseTableError(
            f"{path.name} has no column '{missing[0]}'.", "Its columns: reader,tp,fp,tn,fn."
        )
    found = [_single(path, row, model) for row in rows]
    seen: set[tuple[str, str]] = set()
    for single in found:
        if (single.name, single.modality) in seen:
            raise CaseTableError(
                f"{path.name} has the reader '{single.name}' more than once.",
                "Give each table a name of its own, or a modality.",
            )
        seen.add((single.name, single.modality))
    return found


def against_model(singles: Sequence[Single], margin: float | None = None) -> list[Unpaired]:
    """The model's sensitivity and specificity minus each reader's; nothing without a model."""
    model = next((single for single in singles if single.kind == "model"), None)
    if model is None:
        return []
    return [
        _unpaired(model, reader, endpoint, margin)
        for reader in singles
        if reader is not model
        for endpoint in ("sensitivity", "specificity")
        if not math.isnan(model.shares[endpoint].value + reader.shares[endpoint].value)
    ]


def _unpaired(model: Single, reader: Single, endpoint: str, margin: float | None) -> Unpaired:
    difference = newcombe_difference(*_hits(reader, endpoint), *_hits(model, endpoint))
    verdict = None
    if margin is not None:
        verdict = non_inferiority(difference.value, difference.low, difference.high, margin).verdict
    return Unpaired(reader.name, endpoint, difference, verdict)


def _hits(single: Single, endpoint: str) -> tuple[int, int]:
    counts = single.confusion
    if endpoint == "sensitivity":
        return counts.true_positive, counts.true_positive + counts.false_negative
    return counts.true_negative, counts.true_negative + counts.false_positive


def _single(path: Path, row: Row, model: str) -> Single:
    cells = {name: cell.strip() for name, cell in row.cells.items()}
    name = cells["reader"]
    if not name:
        raise CaseTableError(f"{path.name}, row {row.number}: no reader.", "Name the reader.")
    unknown = tuple(column for column in MAY_BE_UNKNOWN if not cells[column])
    numbers = []
    for column in NEEDED[1:]:
        if column in unknown:
            numbers.append(0)
            continue
        if not cells[column].isascii() or not cells[column].isdigit():
            raise CaseTableError(
                f"{path.name}, row {row.number}: {column} is '{cells[column]}'.",
                "Give the number of cases, a whole number from 0.",
            )
        numbers.append(int(cells[column]))
    counts = Confusion(*numbers)
    if not 0 < sum(counts) <= MOST:
        raise InputError(
            f"{path.name}, row {row.number}: {sum(counts)} cases.",
            f"Give between 1 and {MOST} cases.",
        )
    said, true = (
        np.repeat(np.array(flags, np.bool_), counts) for flags in ((1, 1, 0, 0), (1, 0, 0, 1))
    )
    shares = shares_of(said, true, np.arange(said.size))
    nothing = Interval(*(math.nan,) * 3, 0, "unknown counts")
    for share, columns in NEEDS.items():
        if set(columns) & set(unknown):
            shares[share] = nothing
    kind: Kind = "model" if name == model else "reader"
    return Single(
        name, kind, cells.get("modality", ""), cells.get("group", ""), counts, 0,
        shares, None, nothing if unknown else cohen_kappa(said, true), unknown,
    )  # fmt: skip
