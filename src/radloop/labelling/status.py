"""Where a project stands: counts, what was corrected, what is still wrong, hours, what to do."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

from radloop.labelling.agreement import agreement
from radloop.labelling.draw import askable, disputes, open_queues
from radloop.labelling.outlook import TARGET, outlook
from radloop.labelling.state import Role, State

MEASURED_FROM = 20
"""From this many measured answers on, their median stands for what an item costs."""


def counts(state: State) -> dict[str, Any]:
    """How many items there are of every kind, what was asked and answered, and what is open."""
    left = askable(state)
    asked = len(state.items) - len(left)
    changed = [n for n in state.items if state.label(n) != state.items[n].given]
    return {
        "items": len(state.items),
        "labelled": sum(state.label(name) is not None for name in state.items),
        "asked": asked,
        "asked_share": asked / len(state.items) if state.items else 0.0,
        "unread": len(left),
        "unread_labelled": sum(state.label(name) is not None for name in left),
        "corrected": sum(state.items[name].given is not None for name in changed),
        "new": sum(state.items[name].given is None for name in changed),
        "disputed": len(disputes(state)),
        "answered": {
            who: sum(reader == who for _, reader in state.answers) for who in _people(state)
        },
        "open": {
            f"{queue.name} {reader}": len(left_open)
            for role in _ROLES
            for queue in open_queues(state, role)
            for reader in queue.readers
            if (left_open := state.open_tasks(queue, reader))
        },
    }


_ROLES: tuple[Role, ...] = ("review", "adjudication")


def hours(state: State) -> dict[str, float]:
    """What the readers' time came to, and what reading every item would have cost.

    seconds: what an item costs a reader: the median that the pages measured, from 20 answers on,
    else what the project was made with. spent: over all answers, adjudications too. all: every
    item by every reader. saved: the difference, never below zero.
    """
    measured = [a.seconds for a in state.said if a.seconds]
    each = state.settings.seconds
    if len(measured) >= MEASURED_FROM:
        each = float(statistics.median(measured))
    spent = sum(a.seconds or each for a in state.said) / 3600
    everything = len(state.items) * len(state.settings.readers) * each / 3600
    return {
        "seconds": each,
        "spent": spent,
        "all": everything,
        "saved": max(0.0, everything - spent),
    }


def status(state: State, target: float = TARGET) -> Mapping[str, Any]:
    """Everything that `radloop label status` prints. target: the share of wrong labels that may
    remain."""
    ahead = outlook(state, target)
    left = ahead.remaining
    return {
        "question": state.settings.question.name,
        "adjudicator": state.settings.adjudicator,
        "version": state.version.name,
        "versions": [vars(version) for version in state.versions],
        "counts": counts(state),
        "agreement": agreement(state) if len(state.settings.readers) > 1 else None,
        "audit": {
            "read": sum(audit.read for audit in ahead.audits),
            "wrong": sum(audit.wrong for audit in ahead.audits),
        },
        "remaining": {
            "wrong": None if math.isnan(left.wrong) else left.wrong,
            "low": left.low,
            "high": left.high,
            "unread": left.unread,
            "items": left.items,
            "level": left.level,
            "sentence": left.sentence(),
        },
        "target": target,
        "stop": ahead.stop,
        "advice": ahead.advice(),
        "promotions": [dict(one) for one in state.promotions],
        "hours": hours(state),
    }


def _people(state: State) -> tuple[str, ...]:
    adjudicator = state.settings.adjudicator
    return (*state.settings.readers, *([adjudicator] if adjudicator else []))
