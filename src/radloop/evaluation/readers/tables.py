"""The result as tables for people: the same for the page and for the console."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from radloop.evaluation.page import show, show_interval
from radloop.evaluation.readers.against import Paired
from radloop.evaluation.readers.beside import Beside
from radloop.evaluation.readers.single import SHARES, Single
from radloop.evaluation.readers.together import Together
from radloop.measures.interval import Interval
from radloop.measures.mrmc.study import Contrast

AREA = {"auc": "AUC", **SHARES}


class Cell(NamedTuple):
    """A value, and in small below it what is known of its uncertainty."""

    text: str
    below: str = ""


@dataclass(frozen=True)
class Table:
    """texts: how many columns from the left hold words; the others are numbers."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    texts: int = 1
    notes: Sequence[str] = ()


class _Ends(Protocol):
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def tables_of(found: Beside) -> list[Table]:
    """All tables that have a row."""
    tables = [
        _singles(found),
        _against(found),
        _matched(found),
        _groups(found),
        _unpaired(found),
    ]
    for together in found.together:
        tables += [_pooled(together), _by_reader(together), _times(together)]
    return [table for table in tables if table.rows]


def _singles(found: Beside) -> Table:
    modalities = {single.modality for single in found.readers}
    with_model = any(single.kappa_model is not None for single in found.readers)
    headings = ["Who", *SHARES.values(), "κ with the truth"]
    headings += ["κ with the model"] * with_model
    headings += ["TP, FP, TN, FN", "Unanswered"]
    rows = []
    for single in found.singles:
        row = [_who(single, len(modalities) > 1)]
        row += [_value(single.shares[name], single.shares[name].value) for name in SHARES]
        row += [_kappa(single.kappa_truth)]
        row += [_kappa(single.kappa_model)] * with_model
        counts = ", ".join(
            "?" if name in single.unknown else str(count)
            for name, count in zip(("tp", "fp", "tn", "fn"), single.confusion, strict=True)
        )
        rows.append([*row, Cell(counts), Cell(str(single.unanswered))])
    notes = [
        "95 % intervals: Wilson's, clustered by patient where patients have several cases; the"
        " Youden index from both of its parts (Newcombe). κ: Cohen's."
    ]
    if any(single.kind == "majority" for single in found.singles):
        notes.append("A majority leaves out cases on which its readers are tied.")
    return _of_what_is_known(Table("Each reader, and the model", headings, rows, 1, notes))


def _of_what_is_known(table: Table) -> Table:
    """The same without columns in which nothing is known."""
    kept = [
        k for k in range(len(table.headings)) if any(row[k].text != "n/a" for row in table.rows)
    ]
    headings = [table.headings[k] for k in kept]
    return replace(table, headings=headings, rows=[[row[k] for k in kept] for row in table.rows])


def _against(found: Beside) -> Table:
    rows = [_pair(pair, pair.a_name, found.margin is not None) for pair in found.against]
    headings = ["Reader", "Of", "Reader", "Model", "Model − reader", "Only reader right",
                "Only model right", "p", "p, Holm"]  # fmt: skip
    notes = [
        "The same cases, paired: Newcombe's interval, McNemar's test (mid-p), two-sided. Holm's"
        " correction is for all rows together."
    ]
    if found.margin is not None:
        headings += ["Verdict", "p, margin"]
        notes.append(_margin_note(found.margin))
    return Table("The model against each reader", headings, rows, 2, notes)


def _pair(pair: Paired, name: str, with_margin: bool) -> list[Cell]:
    row = [
        Cell(name),
        Cell(SHARES[pair.endpoint].lower()),
        Cell(show(pair.a, 3)),
        Cell(show(pair.b, 3)),
        _value(pair.difference, pair.difference.value),
        Cell(str(pair.only_a)),
        Cell(str(pair.only_b)),
        Cell(show_p(pair.p)),
    ]
    if not math.isnan(pair.p_holm):
        row.append(Cell(show_p(pair.p_holm)))
    if with_margin:
        row += [Cell(pair.verdict or ""), Cell(show_p(pair.p_within))]
    return row


def _matched(found: Beside) -> Table:
    rows = [
        [
            Cell(reader),
            Cell(show(m.specificity, 3)),
            Cell(show(m.reader, 3)),
            Cell(show(m.model, 3)),
            _value(m, m.difference),
            Cell(f"{m.threshold:.4g}" if math.isfinite(m.threshold) else "none"),
            Cell(str(m.n)),
        ]
        for reader, m in found.matched.items()
        if not math.isnan(m.difference)
    ]
    return Table(
        "The model at each reader's specificity",
        ("Reader", "Specificity", "Reader's sensitivity", "Model's sensitivity", "Model − reader",
         "Model's threshold", "Cases"),
        rows,
        1,
        (f"The lowest threshold (of “{found.column}”) at which the model raises no more false"
         " alarms than the reader did. Intervals: patient bootstrap, in which the threshold is"
         " chosen anew. A threshold chosen on the judged cases flatters the model a little.",),
    )  # fmt: skip


def _groups(found: Beside) -> Table:
    with_modality = len({group.modality for group in found.groups}) > 1
    headings = ["Readers", "Of", "How many", "Mean", "Model", "Model − mean", "p"]
    notes = [
        "For readers and cases like these (Obuchowski-Rockette, Hillis' degrees of freedom,"
        " DeLong's covariances); the model is fixed. A single reader is taken as fixed."
    ]
    if found.margin is not None:
        headings += ["Verdict", "p, margin"]
    rows = []
    for group in found.groups:
        name = f"{group.group}, {group.modality}" if with_modality else group.group
        row = [
            Cell(name),
            Cell(AREA[group.measure] if group.measure == "auc" else group.measure),
            Cell(str(group.readers)),
            _value(group.mean, group.mean.value),
            Cell(show(group.model, 3)),
            _value(group.difference, group.difference.value),
            Cell(show_p(group.difference.p)),
        ]
        if found.margin is not None:
            row += [Cell(group.verdict or ""), Cell(show_p(group.p_within))]
        rows.append(row)
    return Table("The mean of the readers, and the model", headings, rows, 2, notes)


def _unpaired(found: Beside) -> Table:
    headings = ["Reader", "Of", "Model − reader"] + ["Verdict"] * (found.margin is not None)
    rows = [
        [Cell(pair.reader), Cell(pair.endpoint), _value(pair.difference, pair.difference.value)]
        + [Cell(pair.verdict or "")] * (found.margin is not None)
        for pair in found.unpaired
    ]
    notes = [
        "Only 2x2 tables are known, not who called which case: the intervals are those of different"
        " cases (Newcombe), too wide where model and reader agree more than by chance."
    ]
    return Table("The model against each reader, unpaired", headings, rows, 2, notes)


def _pooled(together: Together) -> Table:
    rows = []
    for pooled in together.pooled:
        random, fixed, u = pooled.random, pooled.fixed_readers, pooled.u
        rows.append(
            [
                Cell(AREA[pooled.measure]),
                Cell(str(pooled.readers)),
                Cell(show(pooled.first, 3)),
                Cell(show(pooled.second, 3)),
                _contrast(random),
                Cell(show_p(random.p) if random else "n/a"),
                _contrast(u),
                _contrast(fixed),
                Cell(pooled.verdict or ""),
                Cell(show_p(pooled.p_within)),
            ]
        )
    crossed = all(pooled.fully_crossed for pooled in together.pooled)
    return Table(
        f"All readers: {together.second} − {together.first}",
        ("Of", "Readers", together.first, together.second, "Difference", "p", "U-statistic",
         "These readers only", "Verdict", "p, margin"),
        rows,
        1,
        ("Difference: for readers and cases like these (Obuchowski-Rockette, DeLong's covariances)."
         " U-statistic: the same question, as iMRMC answers it. These readers only: readers fixed.",
         "Every reader read every case both ways." if crossed else
         "Not every reader read every case both ways (split-plot, or missing readings)."),
    )  # fmt: skip


def _by_reader(together: Together) -> Table:
    changed = {change.reader: change for change in together.changed}
    rows = []
    for pair in together.by_reader:
        reader = pair.a_name.rsplit(", ", 1)[0]
        moved = changed[reader]
        row = _pair(pair, reader, False)
        right, wrong = moved.to_right, moved.to_wrong
        rows.append(
            [*row, Cell(f"{right} right, {wrong} wrong" if pair.endpoint == "sensitivity" else "")]
        )
    return Table(
        f"Each reader: {together.second} − {together.first}",
        ("Reader", "Of", together.first, together.second, "Difference", "Right only before",
         "Right only after", "p", "Answers changed to"),
        rows,
        2,
        ("Paired: Newcombe's interval, McNemar's mid-p, not corrected for the number of readers.",),
    )  # fmt: skip


def _times(together: Together) -> Table:
    rows = [
        [
            Cell(time.reader or "all readers"),
            Cell(str(time.cases)),
            Cell(show(time.first, 1), f"median {show(time.median_first, 1)}"),
            Cell(show(time.second, 1), f"median {show(time.median_second, 1)}"),
            Cell(
                show(time.difference.value, 1),
                show_interval(time.difference.low, time.difference.high, 1),
            ),
            Cell(show_p(time.difference.p)),
        ]
        for time in together.times
    ]
    return Table(
        f"Reading time, seconds a case: {together.second} − {together.first}",
        ("Reader", "Readings", together.first, together.second, "Difference of means", "p"),
        rows,
        1,
        ("Cases timed both ways. All readers: for readers and cases like these (U-statistic).",),
    )


def show_p(p: float) -> str:
    """ "0.034", "< 0.001"; "n/a" for NaN."""
    return "< 0.001" if p < 0.001 else show(p, 3)


def _margin_note(margin: float) -> str:
    return (
        f"Margin {margin:g}: non-inferior where the 95 % interval stays above −{margin:g}; “p,"
        " margin” is one-sided, for “worse by the margin”. The margin must be chosen before the"
        " numbers are seen."
    )


def _who(single: Single, with_modality: bool) -> Cell:
    about = [single.group if single.kind == "reader" else ""]
    about += [single.modality if with_modality and single.kind != "model" else ""]
    return Cell(single.name, ", ".join(part for part in about if part))


def _value(ends: _Ends, value: float) -> Cell:
    interval = show_interval(ends.low, ends.high, 3)
    return Cell(show(value, 3), "" if interval == "n/a" else interval)


def _kappa(kappa: Interval | None) -> Cell:
    return Cell("n/a") if kappa is None else _value(kappa, kappa.value)


def _contrast(found: Contrast | None) -> Cell:
    return Cell("n/a") if found is None else _value(found, found.value)


def cells_of(
    rows: Iterable[Sequence[Cell]], before: str = " (", after: str = ")"
) -> list[list[str]]:
    """The cells as one text each; what is below a value stands between `before` and `after`."""
    return [[c.text + (before + c.below + after if c.below else "") for c in row] for row in rows]
