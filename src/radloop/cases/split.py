"""Splits by patient: folds, or train / val / test."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from radloop.cases.case import Case
from radloop.cases.table import CaseTable
from radloop.errors import InputError

_NAMES = {2: ("train", "val"), 3: ("train", "val", "test")}
_ABOVE = re.compile(r"^value:(?P<name>.+?)\s*>\s*(?P<limit>[^>]+)$")


def split_cases(
    table: CaseTable,
    *,
    folds: int | None = None,
    fractions: Sequence[float] | None = None,
    stratify: str | None = None,
    seed: int = 0,
) -> CaseTable:
    """The table with new splits: all cases of a patient in one, sizes near the fractions.

    folds: K equal splits `fold0`, `fold1`, ... fractions: of the *cases*, summing to 1: two name
    `train`, `val`, three `train`, `val`, `test`. stratify: a label, or `value:NAME>X`, whose share
    is kept near equal in all splits (a patient counts as positive when any case is). The result
    depends on the cases, the seed and the fractions, not on the order of the rows.

    No split exceeds its share by more than one patient's cases.

    Raises InputError: neither or both of folds and fractions, fractions that do not sum to 1, an
    unknown label or value, fewer patients than splits.
    """
    names, shares = _plan(folds, fractions)
    patients: dict[str, list[Case]] = {}
    for case in table.cases:
        patients.setdefault(case.patient_id, []).append(case)
    if len(patients) < len(names):
        raise InputError(
            f"{len(patients)} patients cannot be split into {len(names)}.",
            "Ask for fewer splits; a patient is never divided.",
        )
    stratum = _stratum(table, stratify)
    order = sorted(
        patients,
        key=lambda patient: (
            max(stratum(case) for case in patients[patient]),
            -len(patients[patient]),
            _shuffled(seed, patient),
        ),
    )
    assigned = _deal([len(patients[patient]) for patient in order], shares)
    split = {patient: names[index] for patient, index in zip(order, assigned, strict=True)}
    cases = tuple(replace(case, split=split[case.patient_id]) for case in table.cases)
    columns = table.columns
    if "split" not in columns:
        after = columns.index("patient_id") + 1
        columns = (*columns[:after], "split", *columns[after:])
    return replace(table, columns=columns, cases=cases)


def _plan(
    folds: int | None, fractions: Sequence[float] | None
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    if (folds is None) == (fractions is None):
        raise InputError("Give either folds or fractions.", "For instance --fractions .7,.15,.15.")
    if folds is not None:
        if folds < 2:
            raise InputError(f"{folds} folds are no split.", "Ask for at least 2.")
        return tuple(f"fold{index}" for index in range(folds)), (1 / folds,) * folds
    shares = tuple(fractions or ())
    if len(shares) not in _NAMES or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(
            f"The fractions {', '.join(f'{share:g}' for share in shares)} are no split.",
            "Give two (train, val) or three (train, val, test) above 0 that sum to 1.",
        )
    return _NAMES[len(shares)], shares


def _stratum(table: CaseTable, stratify: str | None) -> Callable[[Case], int]:
    """Case -> 2 positive, 1 negative, 0 unknown."""
    if stratify is None:
        return lambda case: 0
    above = _ABOVE.match(stratify)
    if above is None:
        label = stratify.removeprefix("label:")
        _check_known(table, "label", label)
        return lambda case: _rank(case.reference.labels.get(label))
    name = above["name"]
    _check_known(table, "value", name)
    try:
        limit = float(above["limit"])
    except ValueError:
        raise InputError(f"'{above['limit']}' is not a number.", "Like value:ctr>0.5.") from None

    def rank(case: Case) -> int:
        value = case.reference.values.get(name)
        return _rank(None if value is None else value > limit)

    return rank


def _rank(label: bool | None) -> int:
    return {None: 0, False: 1, True: 2}[label]


def _check_known(table: CaseTable, kind: str, name: str) -> None:
    known = table.names(kind)
    if name not in known:
        raise InputError(
            f"{table.path.name} has no {kind} '{name}' to stratify by.",
            f"Its {kind}s: {', '.join(known) or 'none'}. A value is given as 'value:NAME>X'.",
        )


def _shuffled(seed: int, patient: str) -> bytes:
    """A place in the order that depends on nothing but the seed and the patient."""
    return hashlib.sha256(f"{seed}\0{patient}".encode()).digest()


def _deal(sizes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """Deal groups one after the other, each to the split that lacks most of its share so far.

    At every point the sizes are near their shares, so that each stretch of the order (a stratum)
    is divided like the whole. Every split gets a group when there are enough.
    """
    dealt = 0
    held = [0] * len(shares)
    assigned = []
    for position, size in enumerate(sizes):
        dealt += size
        empty = [index for index, cases in enumerate(held) if not cases]
        must_fill = len(empty) >= len(sizes) - position
        choices = empty if must_fill else range(len(shares))
        chosen = max(choices, key=lambda index: (shares[index] * dealt - held[index], -index))
        held[chosen] += size
        assigned.append(chosen)
    return assigned
