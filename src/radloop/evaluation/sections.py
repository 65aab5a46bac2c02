"""The sections of a report, from its numbers: every sentence and table that page and PDF show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from radloop.evaluation.about import About, describe
from radloop.evaluation.checklist import GUIDELINES, answered
from radloop.evaluation.document import Block, Facts, Gallery, Paragraph, Plots, Section, Table
from radloop.evaluation.flow import Flow
from radloop.evaluation.judgement import ZONE, Calibration, Judgement, Promise
from radloop.evaluation.page import decimals, show, show_interval
from radloop.evaluation.subgroups import FEW, Subgroups
from radloop.measures.interval import Interval
from radloop.measures.spec import MeasureSpec

Pictures = Sequence[tuple[str, str]]


def flow_section(flow: Flow, picture: str, verdicts: Mapping[str, int]) -> Section:
    """How many came in, who was left out, and why."""
    rows = [(code.replace("_", " "), str(n)) for code, n in flow.refused.items()]
    blocks: list[Block] = [Plots((("Study flow", picture),))]
    if verdicts:
        words = tuple((name, str(n)) for name, n in verdicts.items())
        blocks.append(Facts(words))
    if rows:
        blocks.append(Table(("Refused because", "Cases"), tuple(rows)))
        blocks.append(
            Paragraph(
                "Refused cases have no measurement and do not enter the measures below.", "faint"
            )
        )
    return Section("flow", "Study flow", tuple(blocks))


def data_section(
    about: About,
    columns: Mapping[str, Sequence[str]],
    patients: int,
    judgements: Sequence[Judgement],
    notes: Sequence[str],
    cases: int,
) -> Section:
    """Who was examined, and who said what is true."""
    facts = [("Cases judged or refused", str(cases)), ("Patients", str(patients))]
    if about.table:
        facts.append(("Case table", f"{about.table}: {about.cases} cases of {about.patients}"
                      " patients"))  # fmt: skip
    if about.splits:
        facts.append(("Splits", ", ".join(f"{name} {n}" for name, n in about.splits.items())))
    if about.truth:
        facts.append(("Truth from", ", ".join(about.truth)))
    for one in judgements:
        n, positive = one.answers.truth.size, int(one.answers.truth.sum())
        share = f"{positive / n:.1%}" if n else "n/a"
        facts.append((f"Prevalence: {one.question.title}", f"{positive} of {n} cases, {share}"))
    blocks: list[Block] = [Paragraph(note) for note in notes]
    blocks.append(Facts(tuple(facts)))
    described = [(name.replace("_", " "), describe(cells)) for name, cells in columns.items()]
    shown = tuple((name, text) for name, text in described if text)
    if shown:
        blocks.append(Table(("Of the cases", "Known"), shown, text_columns=2, wide=(1,)))
    return Section("data", "The data", tuple(blocks))


def measures_section(judged: Sequence[tuple[MeasureSpec, Interval]]) -> Section:
    """Every declared measure with its interval."""
    rows = []
    for spec, one in judged:
        unit = f" [{spec.unit}]" if spec.unit else ""
        rows.append((f"{spec.title or spec.name}{unit}", *_cells(one), str(one.n)))
    blocks: list[Block] = [Table(("Measure", "Value", "95 % interval", "Cases"), tuple(rows))]
    methods = sorted({one.method for _, one in judged})
    if methods:
        blocks.append(Paragraph(f"Intervals: {'; '.join(methods)}.", "faint"))
    skipped = [f"{spec.title or spec.name} on {one.skipped}" for spec, one in judged if one.skipped]
    if skipped:
        blocks.append(
            Paragraph(f"Undefined, and skipped, on some resamples: {', '.join(skipped)}.", "faint")
        )
    return Section("measures", "Measures", tuple(blocks))


def question_section(number: int, one: Judgement, plots: Pictures) -> Section:
    """One yes/no question: discrimination, operating point, calibration, promises."""
    blocks: list[Block] = []
    if not one.answers.both_classes():
        blocks.append(
            Paragraph("There are not both positive and negative cases: the area under the curve"
                      " and what rests on it are not measured.", "warning")
        )  # fmt: skip
    rows = [("Area under the ROC curve", *_cells(one.area), str(one.area.n))]
    rows += [
        (name.replace("_", " ").capitalize(), *_cells(share), str(share.n))
        for name, share in one.at_point.items()
    ]
    caption = f"Operating point: {one.question.at}." if one.question.at else ""
    blocks.append(Table(("", "Value", "95 % interval", "Cases"), tuple(rows), caption))
    methods = sorted({share.method for share in (one.area, *one.at_point.values())})
    blocks.append(Paragraph(f"Intervals: {'; '.join(methods)}.", "faint"))
    if one.answers.called is not None:
        blocks.append(_cross_table(one))
    if plots:
        blocks.append(Plots(tuple(plots)))
    if one.calibration is not None:
        blocks += _calibration(one.calibration)
    blocks += _promises(one.promises)
    blocks.append(_zone(one))
    return Section(f"question-{number}", one.question.title, tuple(blocks))


def _cross_table(one: Judgement) -> Table:
    found = one.answers
    assert found.called is not None
    rows = []
    for name, called in (("Called positive", found.called), ("Called negative", ~found.called)):
        counts = [int((called & found.truth).sum()), int((called & ~found.truth).sum())]
        rows.append((name, *map(str, counts), str(sum(counts))))
    return Table(("Cases", "Truly positive", "Truly negative", "Together"), tuple(rows))


def _calibration(one: Calibration) -> list[Block]:
    rows = [(one.titles[name], *_cells(error), str(error.n)) for name, error in one.errors.items()]
    line = one.line
    n = next(iter(one.errors.values())).n
    places = decimals(line.slope, line.intercept)
    rows += [
        ("Calibration slope (1 is perfect)", show(line.slope, places),
         show_interval(line.slope_low, line.slope_high, places), str(n)),
        ("Calibration in the large (0 is perfect)", show(line.intercept, places),
         show_interval(line.intercept_low, line.intercept_high, places), str(n)),
    ]  # fmt: skip
    parts = one.brier
    blocks: list[Block] = [
        Table(("Calibration", "Value", "95 % interval", "Cases"), tuple(rows)),
        Paragraph(
            f"Brier score {show(parts.brier, 4)} = miscalibration {show(parts.miscalibration, 4)}"
            f" − discrimination {show(parts.discrimination, 4)} + uncertainty"
            f" {show(parts.uncertainty, 4)}. Root mean squared calibration error without what"
            f" chance makes: {show(one.debiased, 4)}.",
            "faint",
        ),
    ]
    useful = one.curve.useful()
    blocks.append(
        Paragraph(
            f"Acting on the model is better than acting on everybody or nobody at threshold"
            f" probabilities from {useful[0]:.2f} to {useful[1]:.2f} (the interval of the gain in"
            f" net benefit lies above 0; {one.curve.method}, pointwise)."
            if useful
            else "At no threshold probability is acting on the model surely better than acting on"
            f" everybody or nobody ({one.curve.method}, pointwise)."
        )
    )
    return blocks


def _promises(promises: Sequence[Promise]) -> list[Block]:
    rows = []
    for one in promises:
        promise = one.guarantee
        sure = (
            "on average" if promise.confidence is None else f"{promise.confidence:.0%} confidence"
        )
        if not promise.is_possible:
            rows.append((f"{promise.aim:.0%}, {sure}", "too few positives", "", ""))
            continue
        rows.append(
            (f"{promise.aim:.0%}, {sure}", f"{promise.threshold:.4g}",
             f"{promise.missed} of {promise.positives}",
             f"{_cells(one.specificity)[0]} ({_cells(one.specificity)[1]})")
        )  # fmt: skip
    return [
        Table(
            ("Sensitivity of at least", "Threshold", "Missed here", "Specificity here (95 %)"),
            tuple(rows),
            "Thresholds that these cases could support on new ones (conformal risk control; learn"
            " then test).",
        ),
        Paragraph(
            "Each promise is for new cases exchangeable with these, and with this set as the"
            " calibration set; the specificity is the price on these same cases. Where a patient"
            " has several positive cases, it is of patients of whom all are found. To give one to"
            " the model: radloop operating-point.",
            "faint",
        ),
    ]


def _zone(one: Judgement) -> Paragraph:
    zone, done = one.zone, one.decided
    if not (math.isfinite(zone.low) and math.isfinite(zone.high)):
        return Paragraph(
            f"A grey zone that promises {ZONE:.0%} sensitivity below it and {ZONE:.0%} specificity"
            " above it needs more cases of both classes than there are.", "faint"
        )  # fmt: skip
    if zone.low == zone.high:
        return Paragraph(
            f"One threshold ({zone.low:.4g}) promises both {ZONE:.0%} sensitivity and {ZONE:.0%}"
            " specificity on average: no grey zone is needed.", "faint"
        )  # fmt: skip
    return Paragraph(
        f"Abstention: if scores from {zone.low:.4g} to below {zone.high:.4g} went to a reader, the"
        f" model would decide {done.coverage:.1%} of cases, miss {done.missed:.1%} of the positive"
        f" ones and raise alarms in {done.alarms:.1%} of the negative ones (aims: at most"
        f" {1 - ZONE:.0%} each, on average over calibration sets; measured on these cases)."
    )


def subgroups_section(found: Subgroups, plots: Pictures) -> Section:
    """The measures in parts of the cases, and the tests between them."""
    blocks: list[Block] = [Plots(tuple(plots))] if plots else []
    small = [g for g in found.groups if g.column and g.few]
    if small:
        names = list(dict.fromkeys(f"{g.column} {g.name}" for g in small))
        blocks.append(
            Paragraph(
                f"Few cases (under {FEW} that decide the precision of some measure), so that"
                f" little can be said: {', '.join(names[:12])}"
                f"{f' and {len(names) - 12} more' if len(names) > 12 else ''}.", "warning"
            )
        )  # fmt: skip
    rows = [
        (f"{g.column.replace('_', ' ')}: {g.name}" if g.column else "all cases", g.measure,
         *_cells(g.interval), f"{g.counted}{' (few)' if g.few else ''}")
        for g in found.groups
    ]  # fmt: skip
    blocks.append(
        Table(("Group", "Measure", "Value", "95 % interval", "Deciding cases"), tuple(rows),
              text_columns=2)
    )  # fmt: skip
    tests = [
        (d.column.replace("_", " "), d.measure, _p(d.p), _p(d.corrected)) for d in found.differences
    ]
    if tests:
        blocks.append(
            Table(("Column", "Measure", "p, no difference", "corrected (Holm)"), tuple(tests),
                  "Do the groups differ?", text_columns=2)
        )  # fmt: skip
        blocks.append(
            Paragraph(
                "A large p does not show that groups are served alike: look at the intervals.",
                "faint",
            )
        )
    return Section("subgroups", "Subgroups", tuple(blocks))


def gallery_sections(galleries: Mapping[str, Pictures], failures: set[str]) -> list[Section]:
    """Failures, and the best, middle and worst cases, as pictures."""
    sections = []
    for key, title, names in (
        ("failures", "Failures", [n for n in galleries if n in failures]),
        ("gallery", "Cases", [n for n in galleries if n not in failures]),
    ):
        blocks = tuple(Gallery(tuple(galleries[name]), name) for name in names if galleries[name])
        if blocks:
            sections.append(Section(key, title, blocks))
    return sections


def limits_section(limits: Sequence[str]) -> Section:
    """What to bear in mind."""
    more = Paragraph("The authors must add the limits that no table shows.", "faint")
    return Section("limits", "Limits", (*(Paragraph(text) for text in limits), more))


def checklist_section(facts: Mapping[str, str]) -> Section:
    """The checklists' items with the report's answers."""
    tables = [
        Table(("Item", "About", "Answer"), tuple(answered(items, facts)), name, text_columns=3,
              wide=(1, 2))
        for name, items in GUIDELINES
    ]  # fmt: skip
    intro = Paragraph(
        "Items in our own words and shortened; the official forms count. What the data answer is"
        " answered, with the section that has it; the rest is for the authors to state.", "faint"
    )  # fmt: skip
    return Section("checklist", "Appendix: reporting checklists", (intro, *tables))


def _cells(one: Interval) -> tuple[str, str]:
    places = decimals(one.value, one.low, one.high)
    return show(one.value, places), show_interval(one.low, one.high, places)


def _p(value: float) -> str:
    return "n/a" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
