"""What the cases of a report are: how many came in, who they were, and who said what is true.

Columns of the case table that Radloop does not use itself (sex, age, site, scanner ...) stand in
the rows of a report as `about:<name>`, text, and so do facts of the acquisition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from radloop.cases.table import CaseTable, number_of
from radloop.evaluation.rows import Row

ABOUT = "about:"
_MANY = 12
"""A column with more different words than this is a name or a date, not a group."""
_FACTS = ("manufacturer", "scanner", "sex", "age", "view", "body_part")
"""The facts of a DICOM file that rows take over where the table has no column of that name."""


@dataclass(frozen=True)
class About:
    """Where the cases of a report come from.

    table: the name of the case table. cases, patients: in it. split: judged, "" for all. splits:
    cases by split. truth: the columns that say what is true.
    """

    table: str = ""
    cases: int = 0
    patients: int = 0
    split: str = ""
    splits: Mapping[str, int] = field(default_factory=dict)
    truth: tuple[str, ...] = ()


def about_table(table: CaseTable, split: str | None) -> About:
    """What a case table says of itself."""
    sources = ("label:", "mask:", "value:", "reader:")
    truth = [c for c in table.columns if c.startswith(sources) or c in ("boxes", "slices")]
    by_split = Counter(case.split for case in table.cases if case.split)
    return About(
        table.path.name,
        len(table.cases),
        len({case.patient_id for case in table.cases}),
        split or "",
        {name: by_split[name] for name in table.splits},
        tuple(truth),
    )


def about_cases(table: CaseTable) -> dict[str, dict[str, str]]:
    """The `about:` cells of every case, by its identifier."""
    extra: Sequence[Mapping[str, str]] = table.extra or ({},) * len(table.cases)
    return {
        case.case_id: {f"{ABOUT}{name}": cell.strip() for name, cell in cells.items()}
        for case, cells in zip(table.cases, extra, strict=True)
    }


def about_acquisition(facts: Mapping[str, object], known: Mapping[str, str]) -> dict[str, str]:
    """The `about:` cells that a file adds to those of the table."""
    lower = {name.removeprefix(ABOUT).lower() for name, cell in known.items() if cell}
    return {
        f"{ABOUT}{name}": str(facts[name])
        for name in _FACTS
        if facts.get(name) and name not in lower
    }


def about_columns(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The `about:` columns of a report's rows by name, "" for unknown; those without any value are
    left out."""
    names = dict.fromkeys(n for row in rows for n in row if n.startswith(ABOUT))
    columns = {
        name.removeprefix(ABOUT): ["" if row.get(name) is None else str(row[name]) for row in rows]
        for name in names
    }
    return {name: cells for name, cells in columns.items() if any(cells)}


def describe(cells: Sequence[str]) -> str | None:
    """A column in a phrase: range and middle of numbers, counts of words; None for names."""
    known = [cell for cell in cells if cell]
    numbers = sorted(number for cell in known if (number := number_of(cell)) is not None)
    if len(numbers) == len(known) and len(set(numbers)) > 6:
        middle = numbers[len(numbers) // 2]
        text = f"{numbers[0]:g} to {numbers[-1]:g}, median {middle:g}"
    else:
        counts = Counter(known)
        if len(counts) > _MANY:
            return None
        text = ", ".join(f"{word} {count}" for word, count in counts.most_common())
    unknown = len(cells) - len(known)
    return text + (f"; unknown {unknown}" if unknown else "")
