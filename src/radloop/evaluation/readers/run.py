"""From files to a result and its page: `readers.json`, `readers.html`, `readers.png`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from radloop.errors import InputError
from radloop.evaluation.page import data_uri
from radloop.evaluation.readers.beside import Beside, compute
from radloop.evaluation.readers.counts import against_model, read_counts
from radloop.evaluation.readers.judged import Columns, Judged, read_judged
from radloop.evaluation.readers.picture import draw_readers
from radloop.evaluation.readers.section import readers_section
from radloop.evaluation.readers.table import read_readings
from radloop.evaluation.readers.tables import tables_of
from radloop.evaluation.render import add_section, is_report
from radloop.images.write import write_text
from radloop.measures.spec import Figure
from radloop.pages import render

RESULT, PAGE, PICTURE = "readers.json", "readers.html", "readers.png"


def beside_readers(
    report: Path,
    table: Path,
    out: Path | None = None,
    *,
    figures: Sequence[Figure] = (),
    question: str | None = None,
    columns: Columns | None = None,
    positive_from: float | None = None,
    finding: str | None = None,
    margin: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Beside:
    """The model of a report folder beside the readers of a table; `out`: a folder for the page.
    When it is the report's own, the report gets a section too.

    See `read_judged` for figures, question and columns, `read_readings` for positive_from and
    finding. Raises InputError for what cannot be used and for a margin that is not positive.
    """
    _check_margin(margin)
    judged = read_judged(report, figures, title=question, columns=columns)
    readings = read_readings(table, positive_from=positive_from, finding=finding)
    found = compute(judged, readings, margin=margin, resamples=resamples, seed=seed)
    if out is not None:
        _write(found, judged, out)
    return found


def beside_counts(
    counts: Path, out: Path | None = None, *, model: str = "model", margin: float | None = None
) -> Beside:
    """The same from 2x2 tables alone. model: the name of the model's row."""
    _check_margin(margin)
    singles = read_counts(counts, model)
    unknown = any(single.unknown for single in singles)
    positives = [s.confusion.true_positive + s.confusion.false_negative for s in singles]
    cases = positives if unknown else [single.n for single in singles]
    remarks = []
    if len(set(zip(positives, cases, strict=True))) > 1:
        remarks.append("The tables are not of the same numbers of cases.")
    if unknown:
        remarks.append("Where fp or tn is not known, what needs them is left out.")
    if all(single.kind != "model" for single in singles):
        remarks.append(f"No row is called '{model}', so no difference from a model is shown.")
    n = max(cases)
    found = Beside(
        counts.stem, n, max(positives), n, margin, tuple(singles), None, (), {}, (), (),
        tuple(against_model(singles, margin)), tuple(remarks),
    )  # fmt: skip
    if out is not None:
        _write(found, None, out)
    return found


def facts_of(found: Beside) -> str:
    """A line on the cases."""
    cases = f"{found.n} cases, {found.positives} of them positive"
    return cases if found.patients == found.n else f"{cases}, of {found.patients} patients"


def _write(found: Beside, judged: Judged | None, out: Path) -> None:
    draw_readers(found, judged, out / PICTURE)
    page = render(
        Path(__file__).with_name("readers.html"),
        found=found,
        facts=facts_of(found) + ".",
        tables=tables_of(found),
        picture=data_uri(out / PICTURE),
    )
    write_text(out / PAGE, page)
    text = json.dumps(found.to_json(), indent=2, ensure_ascii=False)
    write_text(out / RESULT, text + "\n")
    if is_report(out):
        add_section(out, readers_section(found, facts_of(found) + ".", PICTURE))


def _check_margin(margin: float | None) -> None:
    if margin is not None and not 0 < margin < 1:
        raise InputError(
            f"The margin {margin:g} is not between 0 and 1.", "Give a share, such as 0.05."
        )
