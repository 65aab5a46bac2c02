"""What the data audit says of boxes: unreadable files, thin ones, how many of each class."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from radloop.cases.boxes.box import Box
from radloop.cases.boxes.coco import case_boxes
from radloop.errors import CaseTableError

if TYPE_CHECKING:
    from radloop.cases.audit_rules import Problem
    from radloop.cases.case import Case
    from radloop.cases.table import CaseTable

_RARE = 10
_THIN = 4.0


def box_problems(table: CaseTable) -> Iterator[Problem]:
    """Boxes that cannot be read (error), are thin (warning), or of a rare class (note); and how
    many there are."""
    from radloop.cases.audit_rules import Problem

    known: dict[str, tuple[Case, tuple[Box, ...]]] = {}
    unreadable: dict[str, list[str]] = defaultdict(list)
    for case in table.cases:
        path = case.reference.boxes
        if path is None or not path.exists():
            continue
        try:
            boxes = case_boxes(case)
        except CaseTableError as error:
            unreadable[error.what].append(case.case_id)
            continue
        if boxes is None:
            unreadable[f"{path.name} does not list the image of a case."].append(case.case_id)
        else:
            known[case.case_id] = case, boxes
    for why, cases in unreadable.items():
        yield Problem("error", "unusable_boxes", f"{len(cases)} cases: {why}", tuple(cases))
    if not known:
        return
    thin = [
        name for name, (_, boxes) in known.items()
        if any(min(b.x1 - b.x0, b.y1 - b.y0) < _THIN for b in boxes)
    ]  # fmt: skip
    if thin:
        message = f"{len(thin)} cases have boxes thinner than {_THIN:g} px: slips of the mouse?"
        yield Problem("warning", "thin_boxes", message, tuple(thin))
    counts = Counter(box.label for _, boxes in known.values() for box in boxes)
    empty = sum(not boxes for _, boxes in known.values())
    said = ", ".join(f"{label} {n}" for label, n in counts.most_common()) or "none"
    message = f"Boxes by class: {said}; {empty} of {len(known)} films are known to have none."
    yield Problem("note", "boxes_by_class", message)
    for label in (label for label, n in counts.items() if n < _RARE):
        message = f"Class '{label}' has {counts[label]} boxes: too few to learn or to measure."
        yield Problem("note", "rare_class", message)
