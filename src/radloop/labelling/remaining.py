"""How many labels are still wrong: an interval from random audits, and whether to stop.

Error-only review looks where the model contradicts the label. What it finds says nothing of the
labels on which both agree: a model learns wrong labels too, and then agrees with them. Only a
simple random sample of what the review would *not* look at, read like everything else, can tell.

Each round t leaves such an **audit**: of N items, of which an unknown number D is wrong, a were
drawn and read, and x were wrong. x is then hypergeometric (N, D, a): the bounds of D are the values
that exact tests do not reject, as Clopper and Pearson (1934, Biometrika 26:404) do it for a share
of an unlimited population. What was found wrong since, in the audit itself or by a later review of
the same N, is subtracted. Several audits are judged together: a number r that still is wrong
implies D = r + found in each of them; r is rejected when the sum of all x is too unlikely.

Readers' answers are taken for the truth: agreement between them (`agreement.py`) says how far that
holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Masses = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Audit:
    """A simple random sample, without replacement, of the items that a review did not look at.

    population: the items it was drawn from (N). read: how many of those drawn are answered (a).
    wrong: how many of these had a wrong label (x). found: wrong labels found since in the rest of
    the population, in later rounds. outside: items that are unread now and were not in the
    population (the model contradicted their labels, and the queue had no room): nothing is known of
    them, so the upper bound takes all of them for wrong, the lower one none.
    """

    population: int
    read: int
    wrong: int
    found: int = 0
    outside: int = 0

    def __post_init__(self) -> None:
        fits = 0 <= self.wrong <= self.read <= self.population
        if not fits or min(self.found, self.outside) < 0:
            raise ValueError(f"an audit that cannot be: {self}")
        if self.found > self.population - self.read:
            raise ValueError(f"more found than was left: {self}")


@dataclass(frozen=True)
class Remaining:
    """Labels that are still wrong among the `unread` items.

    wrong: the estimate, of those on which label and model agreed, in items; NaN without an audit.
    low, high: the bounds, whole numbers, with at least the confidence `level`. items: all labelled
    items, read or not; the shares are of them, since that is what is trained on.
    """

    wrong: float
    low: int
    high: int
    unread: int
    items: int
    level: float

    @property
    def share(self) -> float:
        """The estimated share of all labels, in [0, 1]."""
        return self.wrong / self.items if self.items else float("nan")

    @property
    def share_low(self) -> float:
        """The lower bound of the share of all labels."""
        return self.low / self.items if self.items else float("nan")

    @property
    def share_high(self) -> float:
        """The upper bound of the share of all labels."""
        return self.high / self.items if self.items else float("nan")

    def sentence(self) -> str:
        """For the reader."""
        if np.isnan(self.wrong) and not self.unread:
            return f"Every label was read: {self.items}."
        if np.isnan(self.wrong):
            return (
                f"Nothing is known of the {self.unread} unread labels: no audit was read."
                " What the review finds says nothing of what it does not look at."
            )
        return (
            f"About {self.wrong:.0f} of {self.items} labels are still wrong"
            f" ({self.low} to {self.high}, {self.level:.0%}): {self.share:.1%}"
            f" ({self.share_low:.1%} to {self.share_high:.1%})."
        )


def remaining_error(
    audits: Sequence[Audit], unread: int, items: int, level: float = 0.95
) -> Remaining:
    """What is still wrong among the `unread` of all labelled `items`, from all rounds' audits.

    With one audit the interval is exact: it covers the truth in at least `level` of all samples.
    With several it treats what was found since as given; simulation shows the coverage to hold
    (`docs/explanation/labelling.md`). Audits of which nothing was read say nothing. Raises
    ValueError for numbers that contradict each other.
    """
    if not 0 <= unread <= items or not 0 < level < 1:
        raise ValueError(f"{unread} unread of {items} items at level {level}")
    known = [audit for audit in audits if audit.read]
    if any(audit.outside > unread for audit in known):
        raise ValueError("more items outside of an audit than are unread")
    if not known:
        return Remaining(float("nan"), 0, unread, unread, items, level)
    tail = (1.0 - level) / 2
    low = _first(lambda r: _tails(known, r)[1] > tail, unread)
    high = unread - _first(lambda r: _tails(known, unread - r)[0] > tail, unread)
    return Remaining(_estimate(known, unread), low, max(low, high), unread, items, level)


def may_stop(remaining: Remaining, target: float) -> bool:
    """Whether no more than the share `target` of all labels can still be wrong.

    The *upper* bound must lie below: a review that found nothing because it hardly looked does not
    stop. Judged after every round, this rule is right a little less often than the level says.
    """
    if not 0 < target < 1:
        raise ValueError(f"a target is a share between 0 and 1, not {target}")
    return bool(remaining.share_high < target)


def audit_size(population: int, target: float, level: float = 0.95) -> int:
    """How many items an audit must read so that, with none of them wrong, the upper bound is below
    `target` (a share of the population): the least size that lets a clean set stop."""

    def enough(read: int) -> bool:
        clean = [Audit(population, read, 0)]
        return may_stop(remaining_error(clean, population - read, population, level), target)

    return _first(enough, population)


def without_audit(precision: float, disputed_left: int) -> float:
    """What error-only review can say by itself of the labels still wrong: the disputes it has not
    read yet, times the share of disputes that were wrong so far. Agreement counts as right, so it
    ends at 0 whatever is wrong; it is here to be compared with the audit."""
    return precision * disputed_left


def hours_saved(items: int, read: int, seconds: float, readers: int = 1) -> float:
    """Hours of reading that the loop saved: what it did not have to look at, times what an item
    costs, in seconds, for each of the `readers`."""
    if not 0 <= read <= items or seconds < 0 or readers < 1:
        raise ValueError(f"{read} of {items} read, {seconds} s, {readers} readers")
    return (items - read) * seconds * readers / 3600.0


def _estimate(audits: Sequence[Audit], unread: int) -> float:
    """Mean of N x / a - x - found over the audits, each weighted with what it read."""
    weights = np.array([audit.read for audit in audits], np.float64)
    each = [a.population * a.wrong / a.read - a.wrong - a.found for a in audits]
    return float(np.clip(np.average(each, weights=weights), 0.0, unread))


def _tails(audits: Sequence[Audit], r: int) -> tuple[float, float]:
    """Chances, if r are still wrong, of as few wrong ones in the audits as were seen, and of as
    many; `outside` is taken so that either is as large as it can be."""
    seen = sum(audit.wrong for audit in audits)
    fewest = _sum_of(audits, [max(r - audit.outside, 0) for audit in audits], seen)
    most = _sum_of(audits, [r for _ in audits], seen)
    return float(fewest.sum()), 1.0 - float(most[:seen].sum())


def _sum_of(audits: Sequence[Audit], wrong: Sequence[int], most: int) -> Masses:
    """The distribution of the sum of all x, from 0 to `most`, if so many are still wrong within
    each population."""
    total: Masses = np.ones(1)
    for audit, r in zip(audits, wrong, strict=True):
        left = audit.population - audit.read
        among = min(r + audit.found, left) + audit.wrong
        counts = np.arange(min(audit.read, most) + 1)
        masses = stats.hypergeom.pmf(counts, audit.population, among, audit.read)
        total = np.convolve(total, masses)[: most + 1]
    return total


def _first(holds, limit: int) -> int:  # type: ignore[no-untyped-def]
    """The least r in 0..limit for which `holds(r)`, a test that stays true once it is; or limit."""
    low, high = 0, limit
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
