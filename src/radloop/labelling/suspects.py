"""Labels that look wrong by what a model says: a list for those who keep the data, not a queue."""

from __future__ import annotations

from typing import Any

from radloop.labelling.candidates import Said, build_pool
from radloop.labelling.state import State
from radloop.labelling.strategies import REVIEW


def suspects(
    state: State, said: Said, count: int, threshold: float | None = None
) -> list[dict[str, Any]]:
    """At most `count` items whose label in force confident learning takes for wrong, the most
    suspicious first; asked about or not.

    Rows `{"item", "label", "given_by", "probability", "score"}`: the label, who gave it, the
    probability the model gives that label, and the score of the strategy `noise`.
    """
    names = [name for name in state.items if state.label(name) is not None]
    pool = build_pool(state, names, said, threshold)
    place = {name: k for k, name in enumerate(pool.case_ids)}
    rows = []
    for pick in REVIEW["noise"](pool, count, state.settings.seed) if len(pool) else ():
        label = state.labels[pick.case_id][-1]
        assert label.value is not None
        rows.append(
            {
                "item": pick.case_id,
                "label": state.settings.question.text(label.value),
                "given_by": label.source,
                "probability": round(float(pool.distribution[place[pick.case_id], label.value]), 4),
                "score": round(pick.score, 4),
            }
        )
    return rows
