"""What a model said of a project's items, from the files that commands write, as a `Pool`.

Sources, told apart by what they are: the folder of `predict` (`predictions.jsonl`), the report of
`evaluate` or `pool` (`cases.csv`, `slices.csv`), or any table with `case_id` and `probability`.
Several may be given, one a fold of a cross-validation. Only predictions of models that did not
learn from an item say where its label may be wrong; an item in two sources is therefore refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from radloop.cases.csv_text import read_rows
from radloop.cases.table import number_of
from radloop.errors import InputError
from radloop.evaluation.report import CASES, REPORT, SLICES
from radloop.findings.forms import FILE_NAME
from radloop.labelling.pool import Numbers, Pool
from radloop.labelling.state import Question, State


@dataclass(frozen=True)
class Said:
    """What a source says: item -> probabilities `(values,)` of every answer, or `(1,)` of the
    positive one; members the same, `(members, values)`; the model; the threshold it calls at."""

    probabilities: Mapping[str, Numbers]
    model: Mapping[str, str]
    members: Mapping[str, Numbers] = field(default_factory=dict)
    threshold: float | None = None


def read_predictions(
    sources: Sequence[Path], question: Question, by_slice: bool, column: str = ""
) -> Said:
    """The predictions of all sources together.

    column: the finding, or the column of the probability, where that is none of `<label>`,
    `probability`, `<label>_probability`, `scan_<label>_probability` (`slice_...` of slices).

    Raises InputError: nothing to read, no such finding or column, an item in two sources,
    predictions of different thresholds.
    """
    read = [_read(source, question, by_slice, column) for source in sources]
    probabilities: dict[str, Numbers] = {}
    for source, said in zip(sources, read, strict=True):
        doubled = probabilities.keys() & said.probabilities.keys()
        if doubled:
            raise InputError(
                f"{source.name} has {len(doubled)} items that another source has too.",
                "Give each model's predictions of the fold it did not learn from, and no others.",
            )
        probabilities |= said.probabilities
    if not probabilities:
        raise InputError(
            f"The predictions say nothing of '{question.name}'.",
            "They need a finding, or a column of probabilities, of that name; see --column.",
        )
    members = {name: m for said in read for name, m in said.members.items()}
    thresholds = {said.threshold for said in read if said.threshold is not None}
    if len(thresholds) > 1:
        raise InputError(
            "The predictions were called at different thresholds.",
            "Give --threshold, the probability from which on an item counts as called positive.",
        )
    return Said(probabilities, _one_model(read), members, thresholds.pop() if thresholds else None)


def build_pool(
    state: State,
    names: Iterable[str],
    said: Said,
    threshold: float | None = None,
    features: Mapping[str, Numbers] | None = None,
) -> Pool:
    """The items among `names` of which the model said something, with the labels in force.

    features: item -> `(d,)`; items without are left out. threshold: instead of the source's, or of
    .5.
    """
    kept = [n for n in names if n in said.probabilities and (features is None or n in features)]
    labels = [state.label(name) for name in kept]
    probabilities = np.array([said.probabilities[name] for name in kept], np.float64)
    if not kept or probabilities.shape[1] == 1:
        probabilities = probabilities.reshape(len(kept))
    members = None
    if kept and all(name in said.members for name in kept):
        members = np.stack([said.members[name] for name in kept], axis=1)
        members = members[..., 0] if members.shape[2] == 1 else members
    return Pool(
        tuple(kept),
        np.array([math.nan if label is None else label for label in labels], np.float64),
        probabilities,
        members,
        np.stack([features[name] for name in kept]) if features is not None and kept else None,
        next((t for t in (threshold, said.threshold) if t is not None), 0.5),
    )


def read_features(path: Path) -> dict[str, Numbers]:
    """An encoder's features by item, from an `.npz` with `case_ids` `(n,)` and `features` `(n, d)`.

    Raises InputError for a file that is none.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, features = arrays["case_ids"], np.asarray(arrays["features"], np.float64)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path.name} holds no features ({type(error).__name__}).",
            "Give an .npz of the arrays `case_ids` (n,) and `features` (n, d).",
        ) from error
    if features.ndim != 2 or len(names) != len(features) or not np.isfinite(features).all():
        raise InputError(
            f"{path.name}: the features do not fit the identifiers, or are not finite.",
            "Give an .npz of the arrays `case_ids` (n,) and `features` (n, d).",
        )
    return {str(name): row for name, row in zip(names, features, strict=True)}


# --- sources -------------------------------------------------------------------------------------


def _read(source: Path, question: Question, by_slice: bool, column: str) -> Said:
    if source.is_dir():
        if (source / FILE_NAME).is_file():
            return _of_predict(source / FILE_NAME, question, by_slice, column)
        table = source / (SLICES if by_slice else CASES)
        if table.is_file():
            return _of_report(table, question, by_slice, column)
        raise InputError(
            f"{source.name} holds neither {FILE_NAME} nor {table.name}.",
            "Give the folder of `radloop predict` or of `radloop evaluate`.",
        )
    if source.name == FILE_NAME or source.suffix == ".jsonl":
        return _of_predict(source, question, by_slice, column)
    if source.name in (CASES, SLICES):
        return _of_report(source, question, by_slice, column)
    return _of_table(source, question, by_slice, column, {})


def _of_predict(path: Path, question: Question, by_slice: bool, column: str) -> Said:
    """`predictions.jsonl`, and for slices the tables that its `files` name."""
    name = column or question.name
    found: dict[str, Numbers] = {}
    model: dict[str, str] = {}
    thresholds: set[float] = set()
    for number, line in enumerate(_text(path).splitlines(), start=1):
        try:
            one = json.loads(line)
            case_id, model = one["case_id"], {k: str(v) for k, v in one["model"].items()}
            if one["verdict"]["status"] == "refused":
                continue
            if by_slice:
                if "slices" in one["files"]:
                    found |= _slices_of(
                        path.parent / one["files"]["slices"], case_id, question, name
                    )
                continue
            values = {f["name"]: float(f["probability"]) for f in one["findings"][::-1]}
            rules = {f["name"]: float(f["threshold"]) for f in one["findings"][::-1]}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path.name}, line {number}: no prediction ({type(error).__name__}).",
                "Give a file that `radloop predict` wrote.",
            ) from error
        row = _probabilities(values, question, name)
        if row is not None:
            found[case_id] = row
            thresholds |= set() if question.classes else {rules[name]}
    return Said(found, model or _file(path), threshold=thresholds.pop() if thresholds else None)


def _slices_of(path: Path, case_id: str, question: Question, name: str) -> dict[str, Numbers]:
    """One scan's slices, named `case/file`, or `case/place` where a slice has no file."""
    found = {}
    for row in read_rows(path)[1]:
        values = {key: n for key, cell in row.cells.items() if (n := number_of(cell)) is not None}
        one = _probabilities(values, question, name)
        if one is not None:
            found[f"{case_id}/{row.cells.get('file', '') or row.cells['slice']}"] = one
    return found


def _of_report(path: Path, question: Question, by_slice: bool, column: str) -> Said:
    """The table of a report, with the model and the threshold that its `report.json` names."""
    content = _content_of_report(path.parent)
    model = content.get("model")
    named = {k: str(v) for k, v in model.items()} if isinstance(model, dict) else {}
    said = _of_table(path, question, by_slice, column, named)
    if question.classes or by_slice:
        return said
    (decides,) = _columns_of(path, read_rows(path)[0], question, by_slice, column)
    thresholds = {
        float(one["threshold"])
        for one in content.get("questions") or ()
        if one.get("decides") == decides and one.get("threshold") is not None
    }
    return replace(said, threshold=thresholds.pop() if len(thresholds) == 1 else None)


def _of_table(
    path: Path, question: Question, by_slice: bool, column: str, model: Mapping[str, str]
) -> Said:
    """A table with `case_id` (or `item`) and probabilities: one column, or one a class; members of
    an ensemble as `member:<k>`, or `member:<k>:<class>`."""
    columns, rows = read_rows(path)
    identifier = next((name for name in ("item", "case_id") if name in columns), None)
    if identifier is None:
        raise InputError(f"{path.name} has no column 'case_id'.", "Name the items.")
    named = _columns_of(path, columns, question, by_slice, column)
    groups = _member_columns(columns, question)
    found, members = {}, {}
    for row in rows:
        cells = [number_of(row.cells[name]) for name in named]
        if None in cells:
            continue  # the model said nothing of it
        name = row.cells[identifier].strip()
        if name in found:
            raise InputError(
                f"{path.name}, row {row.number}: the item '{name}' stands there twice.",
                "Keep one row an item.",
            )
        found[name] = _checked(np.array(cells, np.float64), path, row.number)
        if groups:
            table = [[number_of(row.cells[name]) for name in group] for group in groups]
            if not any(None in group for group in table):
                members[name] = np.array(table, np.float64)
    return Said(found, model or _file(path), members)


def _columns_of(
    path: Path, columns: Sequence[str], question: Question, by_slice: bool, column: str
) -> list[str]:
    """The columns of the probabilities: one, or one a class in the question's order."""
    whole = "slice" if by_slice else "scan"
    names = question.classes or (question.name,)
    for form in (
        [column] if column else ["probability:{}", "{}_probability", f"{whole}_{{}}_probability"]
    ):
        wanted = [form.format(name) for name in names]
        if set(wanted) <= set(columns):
            return wanted
    if not question.classes and not column and "probability" in columns:
        return ["probability"]
    raise InputError(
        f"{path.name} has no column with the probability of '{names[0]}'.",
        f"Name it with --column; its columns: {', '.join(columns)}.",
    )


def _member_columns(columns: Sequence[str], question: Question) -> list[list[str]]:
    """The columns of each member, in order."""
    found: dict[str, list[str]] = {}
    for name in columns:
        if name.startswith("member:"):
            found.setdefault(name.split(":")[1], []).append(name)
    if not question.classes:
        return [group[:1] for group in found.values()]
    wanted = [[f"member:{k}:{c}" for c in question.classes] for k in found]
    return [group for group in wanted if set(group) <= set(columns)]


def _probabilities(values: Mapping[str, float], question: Question, name: str) -> Numbers | None:
    """`(1,)`, that of `name`, or of all classes, scaled to sum to 1; None where one is missing."""
    names = question.classes or (name,)
    if not set(names) <= values.keys():
        return None
    row = np.array([values[name] for name in names], np.float64)
    if not question.classes:
        return row
    return row / row.sum() if row.sum() > 0 else None


def _checked(row: Numbers, path: Path, number: int) -> Numbers:
    if (row < 0).any() or (row > 1).any():
        raise InputError(
            f"{path.name}, row {number}: a probability outside of 0 to 1.", "Give probabilities."
        )
    return row


def _content_of_report(folder: Path) -> Mapping[str, Any]:
    try:
        content = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _file(path: Path) -> dict[str, str]:
    """A source without a model: named by its file and what it holds."""
    return {"name": path.name, "version": "", "sha256": hashlib.sha256(_bytes(path)).hexdigest()}


def _one_model(read: Sequence[Said]) -> dict[str, str]:
    """One model, or the several of a cross-validation, joined."""
    models = list({tuple(sorted(said.model.items())): said.model for said in read}.values())
    if len(models) == 1:
        return dict(models[0])
    keys = ("name", "version", "sha256")
    return {key: "+".join(model.get(key, "")[:16] for model in models) for key in keys}


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not UTF-8 text.", "Give predictions.") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read: {error.strerror}.", "Check the path."
        ) from error
