"""The same measures in parts of the cases: does the model serve everybody alike?

Groups are the values of a column; numbers are cut into bands. A patient's cases may lie in several
groups (lesions of several sizes); patients are drawn, not cases, so the intervals allow for it.
Within a column every measure is tested for a difference between its groups:

- shares (sensitivity, specificity): patients are dealt to the groups anew, 999 times, among those
  that have such cases;
- the area under the ROC curve and other measures: Wald's chi-squared test of independent estimates,
  with DeLong's variances for areas, with those of the intervals otherwise.

All p of a report are corrected together (Holm). No difference found is not equality shown: a small
group has a wide interval, and is marked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from radloop.cases.table import number_of
from radloop.errors import InputError
from radloop.evaluation.question import Answers
from radloop.measures.best_interval import best_intervals
from radloop.measures.delong import auc_interval, delong
from radloop.measures.interval import Interval
from radloop.measures.multiplicity import holm
from radloop.measures.proportions import clustered_wilson
from radloop.measures.spec import MeasureSpec, Rows

FEW = 20
"""Fewer cases of a measure's own denominator than this, and the group is marked."""
_MOST_GROUPS = 12
_PERMUTATIONS = 999
_AGE_EDGES = (18.0, 40.0, 60.0, 80.0)


@dataclass(frozen=True)
class Group:
    """A measure in one group. counted: the cases that decide its precision (positives for the
    sensitivity, the rarer class for the area)."""

    column: str
    name: str
    measure: str
    interval: Interval
    counted: int

    @property
    def few(self) -> bool:
        """Whether the group is too small to say much."""
        return self.counted < FEW


@dataclass(frozen=True)
class Difference:
    """The test of one measure between the groups of a column. p: NaN where there is none."""

    column: str
    measure: str
    p: float
    corrected: float = math.nan


@dataclass(frozen=True)
class Subgroups:
    """All groups of all columns, with the whole as a column of its own ("")."""

    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]

    def columns(self) -> list[str]:
        """The columns, in order."""
        return list(dict.fromkeys(group.column for group in self.groups if group.column))

    def to_json(self) -> dict[str, Any]:
        """For `report.json`."""
        return {
            "groups": [
                {
                    "column": g.column, "group": g.name, "measure": g.measure,
                    "value": g.interval.value, "low": g.interval.low, "high": g.interval.high,
                    "n": g.interval.n, "counted": g.counted, "method": g.interval.method,
                    "few": g.few,
                }
                for g in self.groups
            ],
            "tests": [
                {"column": d.column, "measure": d.measure, "p": d.p, "p_holm": d.corrected}
                for d in self.differences
            ],
        }  # fmt: skip


def bands(cells: Sequence[str], edges: Sequence[float] = (), name: str = "") -> list[str]:
    """The group of every cell, "" for unknown.

    Words are groups as they stand. Numbers with more than six different values become bands
    between `edges`; without any, ages are cut at 18, 40, 60 and 80 and others into thirds of the
    cases. Raises InputError for edges of words, and for more than twelve groups.
    """
    numbers = [number_of(cell) if cell else None for cell in cells]
    known = [number for number in numbers if number is not None]
    is_numeric = bool(known) and len(known) == sum(bool(cell) for cell in cells)
    if edges and not is_numeric:
        raise InputError(
            f"The column '{name}' cannot be cut into bands: it holds other than numbers.",
            f"Use `--by {name}` without numbers.",
        )
    if is_numeric and (edges or len(set(known)) > 6):
        cuts = tuple(sorted(set(edges)))
        if not cuts:
            thirds = np.quantile(known, (1 / 3, 2 / 3), method="inverted_cdf").tolist()
            cuts = _AGE_EDGES if "age" in name.lower().split("_") else tuple(dict.fromkeys(thirds))
        return ["" if x is None else _band(x, cuts) for x in numbers]
    found = sorted({cell for cell in cells if cell})
    if len(found) > _MOST_GROUPS:
        raise InputError(
            f"The column '{name}' has {len(found)} different values: too many for groups.",
            f"Take another column, or cut numbers into bands: `--by {name}=40,60`.",
        )
    return list(cells)


def subgroups(
    columns: Mapping[str, Sequence[str]],
    questions: Mapping[str, Answers],
    rows: Rows,
    patients: Sequence[str],
    specs: Sequence[MeasureSpec] = (),
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Subgroups:
    """Judge the groups of every column (name -> the group of every row, see `bands`).

    questions: by title. specs: further measures, of `rows`.
    """
    whole = {"": ["all cases"] * len(patients)}
    groups: list[Group] = []
    differences: list[Difference] = []
    for column, cells in (whole | dict(columns)).items():
        names = sorted({cell for cell in cells if cell}, key=_order)
        member = np.asarray(cells, dtype=np.str_)
        for title, found in questions.items():
            more, tests = _of_question(column, names, member[found.rows], title, found, seed)
            groups += more
            differences += tests if column else []
        for spec in specs:
            more = [
                _of_spec(column, name, member == name, spec, rows, patients, resamples, seed)
                for name in names
            ]
            groups += more
            if column:
                differences.append(Difference(column, _title(spec), _wald(more)))
    corrected = holm([test.p for test in differences])
    return Subgroups(
        tuple(groups),
        tuple(
            replace(test, corrected=float(p))
            for test, p in zip(differences, corrected, strict=True)
        ),
    )


def _of_question(
    column: str, names: Sequence[str], member: Any, title: str, found: Answers, seed: int
) -> tuple[list[Group], list[Difference]]:
    patients = np.asarray(found.patients)
    groups: list[Group] = []
    tests = []
    areas = []
    for name in names:
        inside = member == name
        truth = found.truth[inside]
        of = delong(found.score[inside], truth, patients[inside] if found.clustered else None)
        rarer = int(min(truth.sum(), (~truth).sum()))
        areas.append(Group(column, name, f"{title}: AUC", auc_interval(of), rarer))
    groups += areas
    tests.append(Difference(column, f"{title}: AUC", _wald(areas)))
    if found.called is None:
        return groups, tests
    for measure, of_class, right in (
        ("sensitivity", found.truth, found.called),
        ("specificity", ~found.truth, ~found.called),
    ):
        label = f"{title}: {measure}"
        for name in names:
            inside = of_class & (member == name)
            interval = share_interval(right[inside], patients[inside])
            groups.append(Group(column, name, label, interval, int(inside.sum())))
        known = of_class & (member != "")
        p = _dealt(right[known], member[known], patients[known], seed)
        tests.append(Difference(column, label, p))
    return groups, tests


def share_interval(right: npt.NDArray[np.bool_], patients: npt.NDArray[np.str_]) -> Interval:
    """The share that is right: Wilson's interval, clustered where a patient has several of these
    cases."""
    patient = np.unique(patients, return_inverse=True)[1].reshape(right.shape)
    return clustered_wilson(np.bincount(patient[right], minlength=patient.max(initial=-1) + 1),
                            np.bincount(patient))  # fmt: skip


def _of_spec(
    column: str, name: str, inside: Any, spec: MeasureSpec, rows: Rows, patients: Sequence[str],
    resamples: int, seed: int,
) -> Group:  # fmt: skip
    part = {key: values[inside] for key, values in rows.items() if key in spec.columns}
    own = np.asarray(patients)[inside].tolist()
    (interval,) = best_intervals(part, [spec], own, n=resamples, seed=seed)
    return Group(column, name, _title(spec), interval, interval.n)


def _wald(groups: Sequence[Group]) -> float:
    """p for "all groups have one value", from independent estimates with their intervals."""
    values = np.array([g.interval.value for g in groups])
    spread = np.array([(g.interval.high - g.interval.low) / (2 * 1.959964) for g in groups])
    usable = np.isfinite(values) & np.isfinite(spread) & (spread > 0)
    if usable.sum() < 2 or not np.isfinite(values).all():
        return math.nan
    weights = 1 / spread[usable] ** 2
    mean = np.average(values[usable], weights=weights)
    return float(stats.chi2.sf((weights * (values[usable] - mean) ** 2).sum(), usable.sum() - 1))


def _dealt(right: Any, member: Any, patients: Any, seed: int) -> float:
    """p of the groups' shares by dealing the patients' rows to the groups anew.

    A patient's rows keep together, and keep their groups where these differ within the patient.
    """
    names, group = np.unique(member, return_inverse=True)
    if names.size < 2:
        return math.nan
    _, patient = np.unique(patients, return_inverse=True)
    count = int(patient.max()) + 1
    cells = patient * names.size + group
    size = np.bincount(cells, minlength=count * names.size).reshape(count, names.size)
    hits = np.bincount(cells, weights=right, minlength=count * names.size).reshape(size.shape)
    # Whose rows lie in several groups tells of a difference within, which dealing would destroy.
    single = (size > 0).sum(axis=1) == 1
    if single.sum() < 2:
        return math.nan
    of_patient, home = size[single].sum(axis=1), size[single].argmax(axis=1)
    found = hits[single].sum(axis=1)
    share = found.sum() / of_patient.sum()

    def statistic(groups: Any) -> float:
        n = np.bincount(groups, weights=of_patient, minlength=names.size)
        k = np.bincount(groups, weights=found, minlength=names.size)
        held = n > 0
        return float(((k[held] - n[held] * share) ** 2 / n[held]).sum())

    rng = np.random.default_rng(seed)
    here = statistic(home)
    others = sum(statistic(rng.permutation(home)) >= here - 1e-9 for _ in range(_PERMUTATIONS))
    return (1 + others) / (_PERMUTATIONS + 1)


def _band(x: float, cuts: Sequence[float]) -> str:
    k = int(np.searchsorted(cuts, x, side="right"))
    if k == 0:
        return f"< {cuts[0]:.4g}"
    if k == len(cuts):
        return f"≥ {cuts[-1]:.4g}"
    return f"{cuts[k - 1]:.4g} to < {cuts[k]:.4g}"


def _order(name: str) -> tuple[int, float, str]:
    """Bands by their numbers, words by the alphabet."""
    first = number_of(name.lstrip("<≥ ").split(" ")[0])
    return (1, 0.0, name) if first is None else (0, first - 1e-9 * name.startswith("<"), name)


def _title(spec: MeasureSpec) -> str:
    return spec.title or spec.name
