"""Comparing two charts: could the later one be of the same person?

Teeth are lost, filled and treated with time; they do not grow again, and a filling does not go
away while its tooth stays. So each tooth of two charts is *concordant* (nothing changed),
*explainable* (something happened in between), *impossible* (one of the charts is of somebody else,
or was read wrong), or *unknown* (one of the films does not show it).

The score is a log likelihood ratio: how much more likely the later chart is if both are of one
person than if they are of two, tooth by tooth. Teeth of one mouth are not independent, so it ranks
well and measures no probability; a person decides.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from radloop.systems.jaw.chart import DentalChart
from radloop.systems.jaw.numbers import DECIDUOUS, PERMANENT, WISDOM, deciduous

State = Literal["sound", "carious", "restored", "root-treated", "missing", "implant"]
Kind = Literal["concordant", "explainable", "impossible", "unknown"]
STATES: tuple[State, ...] = (
    "sound", "carious", "restored", "root-treated", "missing", "implant",
)  # fmt: skip
KINDS: tuple[Kind, ...] = ("concordant", "explainable", "impossible", "unknown")

CHANGED = 0.05
"""How likely a tooth is to have changed in a way that can be explained, between two films."""
MISREAD = 0.02
"""How likely it is that a tooth is read as something it cannot have become."""

_EXPLAINED: Mapping[tuple[State, State], str] = {
    ("sound", "carious"): "caries since then",
    ("sound", "restored"): "filled or crowned since then",
    ("sound", "root-treated"): "root treated since then",
    ("sound", "missing"): "lost since then",
    ("sound", "implant"): "lost and replaced since then",
    ("carious", "sound"): "the caries is not seen: a reader may miss it, or have seen too much",
    ("carious", "restored"): "the caries was treated",
    ("carious", "root-treated"): "the caries was treated to the root",
    ("carious", "missing"): "lost since then",
    ("carious", "implant"): "lost and replaced since then",
    ("restored", "root-treated"): "root treated since then",
    ("restored", "missing"): "lost since then",
    ("restored", "implant"): "lost and replaced since then",
    ("root-treated", "missing"): "lost since then",
    ("root-treated", "implant"): "lost and replaced since then",
    ("missing", "implant"): "replaced since then",
    ("implant", "missing"): "the implant was lost",
}
_IMPOSSIBLE: Mapping[tuple[State, State], str] = {
    ("restored", "sound"): "a filling is gone",
    ("restored", "carious"): "a filling is gone",
    ("root-treated", "sound"): "a root canal treatment is gone",
    ("root-treated", "carious"): "a root canal treatment is gone",
    ("root-treated", "restored"): "a root canal treatment is gone",
}


@dataclass(frozen=True)
class ToothComparison:
    """One tooth: what became of it, in words, and what it adds to the score."""

    number: str
    kind: Kind
    reason: str
    score: float


@dataclass(frozen=True)
class ChartComparison:
    """All teeth of two charts; score: natural logarithm of the likelihood ratio."""

    earlier: str
    later: str
    teeth: tuple[ToothComparison, ...]

    @property
    def score(self) -> float:
        return sum(tooth.score for tooth in self.teeth)

    def count(self, kind: Kind) -> int:
        """How many teeth are of a kind."""
        return sum(tooth.kind == kind for tooth in self.teeth)

    def to_json(self) -> dict[str, Any]:
        """`earlier`, `later`, `score`, the counts, and `teeth` that are not unknown."""
        return {
            "earlier": self.earlier,
            "later": self.later,
            "score": round(self.score, 3),
            **{kind: self.count(kind) for kind in KINDS},
            "teeth": [
                {"number": t.number, "kind": t.kind, "reason": t.reason, "score": round(t.score, 3)}
                for t in self.teeth
                if t.kind != "unknown"
            ],
        }


Rates = Mapping[str, Mapping[State, float]]
"""Of each tooth, how often it is in which state among people, summing to 1."""


def state_of(chart: DentalChart, number: str) -> State | None:
    """A tooth in one word, the one that lasts longest; None where the film does not show it."""
    status, conditions = chart.status(number), chart.conditions(number)
    if status == "unknown":
        return None
    if status != "present":
        return "implant" if status == "implant" else "missing"
    for condition, state in (
        ("root_canal", "root-treated"), ("restoration", "restored"), ("caries", "carious"),
    ):  # fmt: skip
        if condition in conditions:
            return state  # type: ignore[return-value]
    return "sound"


def judge_change(number: str, before: State, after: State) -> tuple[Kind, str]:
    """Whether a tooth can have become what it is, and how."""
    if before == after:
        return "concordant", before
    if (before, after) in _EXPLAINED:
        return "explainable", _EXPLAINED[before, after]
    if before == "missing":
        if number in WISDOM:
            return "explainable", "a third molar has come through since then"
        return "impossible", "a tooth has grown again"
    if before == "implant":
        return "impossible", "a tooth stands in place of an implant"
    return "impossible", _IMPOSSIBLE[before, after]


def compare_charts(
    earlier: DentalChart, later: DentalChart, rates: Rates | None = None,
    changed: float = CHANGED, misread: float = MISREAD,
) -> ChartComparison:  # fmt: skip
    """Hold the later chart against the earlier one, tooth by tooth; their order in time matters.

    rates: how often each state is seen (`base_rates`; without them a rough table of our own).
    changed, misread: above 0, together below 1, see `CHANGED` and `MISREAD`; ValueError for others.
    """
    if min(changed, misread) <= 0 or changed + misread >= 1:
        raise ValueError(f"changed {changed} and misread {misread} leave nothing that stays")
    known = base_rates(()) if rates is None else rates
    numbers = [*PERMANENT, *(n for n in DECIDUOUS if n in earlier.teeth or n in later.teeth)]
    teeth = []
    for number in numbers:
        before, after = state_of(earlier, number), state_of(later, number)
        if before is None or after is None:
            teeth.append(ToothComparison(number, "unknown", "not on both films", 0.0))
            continue
        kind, reason = judge_change(number, before, after)
        if deciduous(number) and after == "missing":
            reason = "shed since then" if kind == "explainable" else reason
        scores = _scores(number, before, known[number], changed, misread)
        teeth.append(ToothComparison(number, kind, reason, scores[after]))
    return ChartComparison(earlier.case_id, later.case_id, tuple(teeth))


def _scores(
    number: str, before: State, rates: Mapping[State, float], changed: float, misread: float
) -> dict[State, float]:
    """What each later state adds: log P(state | one person) - log P(state | anybody).

    In one person what can be explained shares `changed`, what cannot `misread`, as `rates` has
    them: in equal shares, a state that is rare enough would speak for one person even if it is
    impossible. For the same reason nothing scores more than a tooth that stayed as it was.
    """
    kinds = {after: judge_change(number, before, after)[0] for after in STATES}
    scores, stays = {}, 1.0
    for kind, share in (("explainable", changed), ("impossible", misread)):
        alike = [after for after in STATES if kinds[after] == kind]
        if alike:
            stays -= share
            score = math.log(share / sum(rates[after] for after in alike))
            scores.update(dict.fromkeys(alike, score))
    unchanged = math.log(stays / rates[before])
    return {after: min(score, unchanged) for after, score in scores.items()} | {before: unchanged}


_ROUGH: Mapping[bool, Mapping[State, float]] = {
    False: {"sound": 0.6, "carious": 0.06, "restored": 0.16, "root-treated": 0.06,
            "missing": 0.1, "implant": 0.02},
    True: {"sound": 0.42, "carious": 0.04, "restored": 0.04, "root-treated": 0.005,
           "missing": 0.49, "implant": 0.005},
}  # fmt: skip
"""Our guess for adults, by whether the tooth is a third molar; as good as `_WEIGHT` charts."""
_WEIGHT = 4.0


def base_rates(charts: Iterable[DentalChart]) -> Rates:
    """How often each tooth is in each state, counted over `charts` on top of a rough guess."""
    counts: dict[str, Counter[State]] = {n: Counter() for n in (*PERMANENT, *DECIDUOUS)}
    for chart in charts:
        for number, own in counts.items():
            state = state_of(chart, number)
            if state is not None:
                own[state] += 1
    return {
        number: {
            state: (own[state] + _WEIGHT * _ROUGH[number in WISDOM][state])
            / (own.total() + _WEIGHT)
            for state in STATES
        }
        for number, own in counts.items()
    }


def rank_charts(
    chart: DentalChart, candidates: Mapping[str, DentalChart]
) -> list[tuple[str, ChartComparison]]:
    """All later charts by name, the likeliest to be of the same person first; ties by name. How
    often a state is seen is counted over the candidates."""
    rates = base_rates(candidates.values())
    compared = [(name, compare_charts(chart, other, rates)) for name, other in candidates.items()]
    return sorted(compared, key=lambda pair: (-pair[1].score, pair[0]))
