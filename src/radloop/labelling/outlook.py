"""What is still wrong in a project's labels, from its audits, and whether to stop.

`remaining.py` has the statistics; here is what counts as what. An audit counts once every reader
has answered all of it. A label in it is wrong when the review changed it; and as long as its
readers disagree or cannot tell, until an adjudicator has confirmed it.
"""

from __future__ import annotations

from dataclasses import dataclass

from radloop.labelling.draw import AUDITED, askable
from radloop.labelling.remaining import Audit, Remaining, audit_size, may_stop, remaining_error
from radloop.labelling.replay import TABLE
from radloop.labelling.state import Queue, State

TARGET = 0.02
"""The share of wrong labels that may remain, unless another is asked for."""


@dataclass(frozen=True)
class Outlook:
    """The estimate, and what to do. disputed: unread labels outside of the last audit's population,
    which the model contradicted when the last queue was drawn, or did not judge. unlabelled: items
    without a label that nobody was asked about."""

    remaining: Remaining
    audits: tuple[Audit, ...]
    disputed: int
    unlabelled: int
    target: float

    @property
    def stop(self) -> bool:
        """Whether the upper bound lies below the target."""
        return may_stop(self.remaining, self.target)

    def advice(self) -> str:
        """Stop or go on, and why."""
        if not self.remaining.items:
            return "Go on: there is no label yet."
        if self.stop:
            told = (
                f"Stop: with {self.remaining.level:.0%} confidence fewer than {self.target:.1%} of"
                " the labels are still wrong."
            )
            left = f" {self.unlabelled} items have no label yet: ask about more of them as long as"
            return told + (f"{left} the next model is better for it." if self.unlabelled else "")
        if self.disputed:
            return (
                f"Go on: {self.disputed} unread labels were contradicted by the model, or not"
                " judged, when the last queue was drawn."
            )
        read = sum(audit.read for audit in self.audits)
        needed = audit_size(self.remaining.unread + read, self.target, self.remaining.level)
        return (
            f"Go on: fewer than {self.target:.1%} wrong is not shown yet. {read} labels were"
            f" audited; about {needed} with none wrong would show it."
        )


def outlook(state: State, target: float = TARGET, level: float = 0.95) -> Outlook:
    """The outlook of a project now."""
    read = {name for name in state.items if _outcome(state, name) is not None}
    labelled = [name for name in state.items if state.label(name) is not None]
    unread = {name for name in labelled if name not in read}
    drawn = [q for q in state.queues if q.role == "review" and q.model]
    audits = tuple(a for queue in drawn if (a := _audit(state, queue, unread)) is not None)
    left = len(unread & drawn[-1].outside) if drawn else 0
    bare = sum(state.label(name) is None for name in askable(state))
    remaining = remaining_error(audits, len(unread), len(labelled), level)
    return Outlook(remaining, audits, left, bare, target)


def _audit(state: State, queue: Queue, unread: set[str]) -> Audit | None:
    """One queue's audit; None as long as it is not answered, or without one."""
    drawn = {task.item for task in queue.tasks if task.reason == AUDITED}
    answered = all((name, reader) in state.answers for name in drawn for reader in queue.readers)
    if not drawn or not answered:
        return None
    population = _population(state, queue)
    outcomes = {name: _outcome(state, name) for name in population}
    wrong = sum(outcomes[name] is not False for name in drawn)
    found = sum(outcomes[name] is True for name in population - drawn)
    return Audit(len(population), len(drawn), wrong, found, len(unread - population))


def _population(state: State, queue: Queue) -> set[str]:
    """What the audit of a queue was drawn from: labelled items that no earlier queue had asked
    about, and that the model agreed with."""
    asked = {
        task.item
        for earlier in state.queues
        if earlier.role == "review" and earlier.number < queue.number
        for task in earlier.tasks
    }
    return {
        name
        for name, item in state.items.items()
        if item.given is not None
        and state.labels[name][0].number < queue.number
        and name not in asked
        and name not in queue.outside
    }


def _outcome(state: State, name: str) -> bool | None:
    """Whether the review of an item found its label wrong; None while it is unread or in dispute,
    or came without a label and is settled neither."""
    last = state.labels[name][-1]
    return None if last.source == TABLE else last.value != state.items[name].given
