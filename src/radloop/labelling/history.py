"""What happened to one item: who was asked and why, who said what, which labels it had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radloop.errors import InputError
from radloop.labelling.state import State


def history(state: State, item: str) -> list[dict[str, Any]]:
    """Rows `{"event", "when", "what", "who", "value", "why", "model"}`, the oldest first.

    what: "asked" (value: the reason of the pick), "said" (an answer), or "label" (the label from
    then on, "" when unknown; who: its source). model: the name of the model that asked, "" without
    one. It tells what readers must not know before they have answered. Raises InputError for an
    item that the project does not have.
    """
    if item not in state.items:
        raise InputError(
            f"The project has no item '{item}'.",
            "Name a case_id of its case table, or case_id/slice where slices are asked about.",
        )
    text = state.settings.question.text
    rows = []
    for queue in state.queues:
        for task in queue.tasks:
            if task.item == item:
                who = f"{queue.name}: {', '.join(queue.readers)}"
                rows.append(_row(queue, "asked", who, task.reason, queue.model))
    rows += [_row(a, "said", a.reader, text(a.value), {}) for a in state.said if a.item == item]
    for label in state.labels[item]:
        value = "" if label.value is None else text(label.value)
        rows.append(_row(label, "label", label.source, value, label.model))
    return sorted(rows, key=lambda row: int(row["event"]))  # stable: said, then the label


def _row(event: Any, what: str, who: str, value: str, model: Mapping[str, str]) -> dict[str, Any]:
    return {
        "event": event.number,
        "when": event.when,
        "what": what,
        "who": who,
        "value": value,
        "why": event.why,
        "model": model.get("name", ""),
    }
