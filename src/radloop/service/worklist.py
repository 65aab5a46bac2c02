"""The worklist: which case a person should look at first, and why.

The rule, a pure function of the predictions:

1. *positive*: a finding at or above its operating point;
2. *grey zone*: none is, but the system says that it cannot tell (a verdict code of `UNSURE`), or
   the probability of one is at least `GREY`: calling such cases clear would be wrong in one of ten;
3. *not read*: refused by the reader or the system. Nobody knows what such a film shows, so a
   person has to look: after the cases for which there is evidence, before those found clear;
4. *negative*: the rest.

Within a group the more probable finding goes first; probabilities equal to two digits (near 1 they
saturate) are ordered by the size of the measurement, larger first; what is still equal keeps the
order of the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from radloop.findings.codes import STOCK
from radloop.findings.finding import Finding, Prediction
from radloop.findings.forms import prediction_to_json

if TYPE_CHECKING:
    from rich.table import Table

Group = Literal["positive", "grey zone", "not read", "negative"]
GROUPS: tuple[Group, ...] = ("positive", "grey zone", "not read", "negative")
GREY = 0.10
UNSURE = ("grey_zone", "metal")
"""Codes of verdicts by which a system leaves a decision to a reader."""


@dataclass(frozen=True)
class WorklistItem:
    """One case of the list: its place (1 = first), its group, and the sentence that says why.

    finding: the one that decided the place; None where there is none.
    """

    rank: int
    group: Group
    reason: str
    prediction: Prediction
    finding: Finding | None


def order(predictions: Iterable[Prediction]) -> list[WorklistItem]:
    """Every prediction exactly once, most urgent first (the rule is at the top of this file)."""
    placed = [(prediction, _leading(prediction.findings)) for prediction in predictions]
    placed.sort(key=lambda pair: (GROUPS.index(_group(*pair)), *_urgency(pair[1])))
    return [
        WorklistItem(rank, _group(*pair), _reason(*pair), *pair)
        for rank, pair in enumerate(placed, start=1)
    ]


def _leading(findings: Sequence[Finding]) -> Finding | None:
    """The most urgent finding of those that call for somebody: positive before not, then as cases
    are ordered. Which of several classes a film is of calls for nobody."""
    calling = (f for f in findings if f.name not in STOCK and "class" not in f.where)
    return min(calling, key=lambda f: (not f.positive, *_urgency(f)), default=None)


def _urgency(finding: Finding | None) -> tuple[float, float]:
    """Sort key within a group, smaller is more urgent."""
    if finding is None:
        return 0.0, 0.0
    measured = finding.measurement
    return -round(finding.probability, 2), -(measured.value if measured else 0.0)


def _group(prediction: Prediction, finding: Finding | None) -> Group:
    if prediction.verdict.refused:
        return "not read"
    if finding is not None and finding.positive:
        return "positive"
    if prediction.verdict.code in UNSURE or (finding and finding.probability >= GREY):
        return "grey zone"
    return "negative"


def _reason(prediction: Prediction, finding: Finding | None) -> str:
    if prediction.verdict.refused:
        return " ".join(prediction.verdict.messages) or prediction.verdict.code
    return " ".join([_statement(prediction, finding), *prediction.verdict.messages])


def _statement(prediction: Prediction, finding: Finding | None) -> str:
    if finding is None:
        if prediction.verdict.code in UNSURE:
            return "Not judged."
        return "Nothing that calls for a reader." if prediction.findings else "No finding."
    name, probability = finding.code.meaning, _probability_text(finding.probability)
    return {
        "positive": f"{name} (probability {probability}).",
        "grey zone": f"{name} not excluded (probability {probability}).",
    }.get(_group(prediction, finding), f"No {name.lower()} (probability of it {probability}).")


def _probability_text(probability: float) -> str:
    """Two digits; nothing is said to be certain or impossible."""
    if probability > 0.99:
        return "above 0.99"
    return "below 0.01" if probability < 0.01 else f"{probability:.2f}"


def worklist_to_json(items: Sequence[WorklistItem]) -> list[dict[str, Any]]:
    """One object an item: `rank`, `group`, `reason` and the keys of `predictions.jsonl`."""
    return [
        {"rank": item.rank, "group": item.group, "reason": item.reason}
        | prediction_to_json(item.prediction)
        for item in items
    ]


_STYLES: dict[Group, str] = {
    "positive": "bold red",
    "grey zone": "yellow",
    "not read": "magenta",
    "negative": "",
}


def worklist_table(items: Sequence[WorklistItem]) -> Table:
    """The list for the console."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Worklist, most urgent first", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("case", overflow="fold")
    table.add_column("group", no_wrap=True)
    table.add_column("measured", no_wrap=True)
    table.add_column("why", overflow="fold")
    for item in items:
        measured = item.finding.measurement if item.finding else None
        # Text, not markup: a case id may hold square brackets
        table.add_row(
            str(item.rank),
            Text(item.prediction.case_id),
            Text(item.group, style=_STYLES[item.group]),
            measured.text() if measured else "",
            Text(item.reason),
        )
    return table
