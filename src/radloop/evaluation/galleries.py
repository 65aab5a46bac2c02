"""Which judged cases a report shows as pictures: failures first, then best, middle and worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from radloop.errors import InputError
from radloop.evaluation.question import Question, answers
from radloop.evaluation.rows import Row, numeric_columns, patients_of
from radloop.images.write import write_jpeg
from radloop.inference.engine import Array, Engine
from radloop.inference.heatmaps import HeatMaps
from radloop.inference.pipeline import Item, Result, run_pipeline
from radloop.systems.model import Model

EACH = 4
Chosen = Mapping[str, Sequence[tuple[str, str]]]
"""Title -> (case, what its caption says)."""
Drawn = dict[str, list[tuple[str, Path]]]


def choose_failures(rows: Sequence[Row], questions: Sequence[Question], each: int = EACH) -> Chosen:
    """For every question the negative cases called positive with the highest scores, and the
    positive ones called negative with the lowest."""
    columns, patients = numeric_columns(rows), patients_of(rows)
    chosen: dict[str, list[tuple[str, str]]] = {}
    for question in questions:
        found = answers(question, columns, patients)
        if found.called is None:
            continue
        name = question.decides.replace("_", " ")
        for kind, wrong, worst in (
            ("False positives", found.called & ~found.truth, -found.decides),
            ("False negatives", ~found.called & found.truth, found.decides),
        ):
            order = np.flatnonzero(wrong)[np.argsort(worst[wrong], kind="stable")]
            title = f"{kind}, {question.title}: {order.size}, the worst first"
            chosen[title] = [
                (str(rows[found.rows[k]]["case_id"]), f"{name} {found.decides[k]:.3f}")
                for k in order[:each]
            ]
    return {title: some for title, some in chosen.items() if some}


def choose_ranked(rows: Sequence[Row], column: str, each: int = EACH) -> Chosen:
    """The worst, middle and best cases by a column; none where it is unknown or "" ."""
    values = {str(row["case_id"]): row.get(column) for row in rows} if column else {}
    known = {case: v for case, v in values.items() if isinstance(v, float) and not np.isnan(v)}
    ranked = sorted(known, key=lambda case: known[case])
    if not ranked:
        return {}
    middle = max(0, len(ranked) // 2 - each // 2)
    name = column.replace("_", " ")
    groups = {
        "Worst": ranked[:each],
        "Median": ranked[middle : middle + each],
        "Best": ranked[::-1][:each],
    }
    return {
        f"{title} by {name}": [(case, f"{name} {known[case]:.3f}") for case in group]
        for title, group in groups.items()
    }


def draw_cases(
    model: Model,
    engine: Engine,
    chosen: Chosen,
    items: Mapping[str, Item],
    out: Path,
    settings: Mapping[str, object],
    even_out: bool = False,
) -> Drawn:
    """Draw the chosen cases with their evidence into `out/pictures`, each case once.

    items: by case. Returns title -> (caption, path relative to `out`). Raises InputError when a
    case cannot be read any more.
    """
    cam = HeatMaps(model)
    says: dict[str, list[str]] = {}
    for some in chosen.values():
        for case, words in some:
            said = says.setdefault(case, [])
            said += [words] if words not in said else []
    names = {case: Path("pictures", f"{k:02d}.jpg") for k, case in enumerate(says)}

    def draw(result: Result) -> None:
        read, image, case = result.interpretation, result.image, result.item.case_id
        if read is None or image is None:
            raise InputError(f"Case '{case}' changed during the evaluation.")

        def explain(slices: Sequence[int]) -> Array:
            return cam(model.system.prepare(image, model.size), slices)

        shown = replace(read, caption=f"{', '.join(says[case])}. {read.caption}")
        pictures = model.system.draw(image, shown, False, explain)
        write_jpeg(out / names[case], pictures[""])

    films = [items[case] for case in says]
    for _ in run_pipeline(model, engine, films, draw, workers=1, settings=settings,
                          even_out=even_out):  # fmt: skip
        pass
    return {
        title: [(f"{case}: {words}", names[case]) for case, words in some]
        for title, some in chosen.items()
    }
