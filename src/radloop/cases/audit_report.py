"""What an audit found, as a value: the problems, and what the table and its splits hold."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from radloop.cases.audit_rules import LEVELS, Problem
from radloop.cases.case import Case
from radloop.cases.scan import CaseScan
from radloop.cases.table import CaseTable


@dataclass(frozen=True)
class Group:
    """What a split, or the whole table ("all"), holds.

    labels: name -> numbers of "positive", "negative", "unknown" cases. masks: structure -> cases
    with a mask. values: name -> "n", and "low", "median", "high" when n > 0.
    """

    name: str
    cases: int
    patients: int
    labels: Mapping[str, Mapping[str, int]]
    masks: Mapping[str, int]
    values: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class AuditReport:
    """The problems, the gravest first; the groups, "all" first; the sizes and spacings found."""

    table: CaseTable
    problems: tuple[Problem, ...]
    groups: tuple[Group, ...]
    sizes: Mapping[str, int]
    spacings: Mapping[str, int]
    scans: tuple[CaseScan, ...]

    @property
    def ok(self) -> bool:
        """No errors; there may be warnings."""
        return not self.count("error")

    def count(self, level: str) -> int:
        """The number of problems of a level: "error", "warning" or "note"."""
        return sum(problem.level == level for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """The content of `check.json`."""
        return {
            "table": self.table.path.name,
            "cases": self.groups[0].cases,
            "patients": self.groups[0].patients,
            "ok": self.ok,
            **{f"{level}s": self.count(level) for level in LEVELS},
            "problems": [
                {
                    "level": problem.level,
                    "code": problem.code,
                    "message": problem.message,
                    "case_ids": list(problem.case_ids),
                }
                for problem in self.problems
            ],
            "groups": [dict(vars(group)) for group in self.groups],
            "images": {"sizes": dict(self.sizes), "spacings_mm": dict(self.spacings)},
        }


def groups_of(table: CaseTable) -> Iterable[Group]:
    """The whole table, then its splits."""
    yield _group("all", table.cases, table)
    for split in table.splits:
        yield _group(split, [case for case in table.cases if case.split == split], table)


def _group(name: str, cases: Iterable[Case], table: CaseTable) -> Group:
    cases = list(cases)
    references = [case.reference for case in cases]
    known = {label: [ref.labels.get(label) for ref in references] for label in table.names("label")}
    return Group(
        name=name,
        cases=len(cases),
        patients=len({case.patient_id for case in cases}),
        labels={
            label: {
                "positive": said.count(True),
                "negative": said.count(False),
                "unknown": said.count(None),
            }
            for label, said in known.items()
        },
        masks={
            structure: sum(structure in ref.masks for ref in references)
            for structure in table.names("mask")
        },
        values={
            value: _summary([ref.values[value] for ref in references if value in ref.values])
            for value in table.names("value")
        },
    )


def _summary(numbers: list[float]) -> dict[str, float]:
    if not numbers:
        return {"n": 0}
    return {
        "n": len(numbers),
        "low": min(numbers),
        "median": statistics.median(numbers),
        "high": max(numbers),
    }
