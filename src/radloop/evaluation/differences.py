"""One measure of two models on the same cases: the difference, its interval and its tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from radloop.errors import InputError
from radloop.evaluation.page import decimals, show, show_interval
from radloop.evaluation.report import plain
from radloop.measures.best_interval import KnownDifference, known_difference
from radloop.measures.bootstrap import PairedDifference, paired_bootstrap
from radloop.measures.margin import NonInferiority, non_inferiority
from radloop.measures.multiplicity import holm
from radloop.measures.paired_tests import permutation_p
from radloop.measures.spec import MeasureSpec, Rows

EVERY = ""
"""In place of a measure's name: the margin of all measures without a unit."""


@dataclass(frozen=True)
class MeasureDifference:
    """One measure of both models, on the cases where both could be measured.

    paired: by the bootstrap. known: by formula, None where there is none. permutation_p: with
    patients swapped between the models. holm_p: `p` corrected for all measures that were compared.
    margin: the verdict, None where no margin was given.
    """

    spec: MeasureSpec
    paired: PairedDifference
    known: KnownDifference | None = None
    permutation_p: float = math.nan
    holm_p: float = math.nan
    margin: NonInferiority | None = None

    @property
    def low(self) -> float:
        """The lower end of the interval that covers best."""
        return self.known.low if self.known else self.paired.low

    @property
    def high(self) -> float:
        """The upper end of it."""
        return self.known.high if self.known else self.paired.high

    @property
    def p(self) -> float:
        """Two-sided p for "no difference", of the test named by `test`."""
        return self.known.p if self.known else self.paired.p

    @property
    def test(self) -> str:
        """How `p` was made."""
        return self.known.test if self.known else "paired bootstrap"

    @property
    def favours(self) -> str:
        """ "A" or "B" when the interval leaves out zero and the measure has a better side."""
        if self.spec.better == "neither" or not (self.low > 0 or self.high < 0):
            return ""
        return "B" if (self.low > 0) == (self.spec.better == "higher") else "A"

    @property
    def title(self) -> str:
        """The measure, with its unit."""
        name = self.spec.title or self.spec.name
        return f"{name} [{self.spec.unit}]" if self.spec.unit else name

    def to_json(self) -> dict[str, object]:
        """The numbers, null for those that could not be measured."""
        paired, known, margin = self.paired, self.known, self.margin
        discordant = known is not None and known.only_a is not None
        numbers = {
            "title": self.spec.title or self.spec.name,
            "unit": self.spec.unit,
            "a": paired.a,
            "b": paired.b,
            "difference": paired.difference,
            "low": self.low,
            "high": self.high,
            "p": self.p,
            "n": paired.n,
            "skipped": paired.skipped,
            "favours": self.favours,
            "method": known.method if known else "paired patient bootstrap, percentile, 95%",
            "test": self.test,
            "bootstrap": {"low": paired.low, "high": paired.high, "p": paired.p},
            "permutation_p": self.permutation_p,
            "holm_p": self.holm_p,
            **({"only_a": known.only_a, "only_b": known.only_b} if known and discordant else {}),
            **(
                {"non_inferiority": {"verdict": margin.verdict, "margin": margin.margin,
                                     "worse": margin.worse, "sentence": self.sentence()}}
                if margin else {}
            ),
        }  # fmt: skip
        return {name: plain(value) for name, value in numbers.items()}

    def cells(self) -> dict[str, str]:
        """What the tables show, by their headings."""
        paired = self.paired
        places = decimals(paired.a, paired.b)
        finer = 4 if places >= 3 else places + 1
        return {
            "Measure": self.title,
            "A": show(paired.a, places),
            "B": show(paired.b, places),
            "B − A": show(paired.difference, finer),
            "95 % interval": show_interval(self.low, self.high, finer),
            "p": _show_p(self.p),
            "Test": self.test,
            "Bootstrap": show_interval(paired.low, paired.high, finer),
            "Permutation p": _show_p(self.permutation_p),
            "Holm p": _show_p(self.holm_p),
            "n": str(paired.n),
            "Favours": self.favours,
        }

    def sentence(self) -> str:
        """What the interval says against the margin; "" without one."""
        if self.margin is None:
            return ""
        verdict, places = self.margin, decimals(self.paired.a, self.paired.b)
        finer = 4 if places >= 3 else places + 1
        limit = f"{verdict.margin:g}" + (f" {self.spec.unit}" if self.spec.unit else "")
        said = {
            "superior": "B is better than A",
            "non-inferior": f"B is not worse than A by {limit} or more",
            "inferior": f"B is worse than A by more than {limit}",
            "inconclusive": f"whether B is worse than A by {limit} or more remains open",
        }[verdict.verdict]
        if verdict.verdict == "non-inferior" and verdict.worse:
            said += ", though worse beyond chance"
        interval = show_interval(verdict.low, verdict.high, finer)
        shown = f"B − A {show(verdict.difference, finer)}, 95 % interval {interval}"
        return f"{self.spec.title or self.spec.name}: {said} ({shown})."


def measure_differences(
    a: Rows,
    b: Rows,
    specs: Sequence[MeasureSpec],
    patients: Sequence[str],
    *,
    margins: Mapping[str, float] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> list[MeasureDifference]:
    """Every measure of model B against A, row i of both being the same case.

    margins: by measure, see `EVERY`. `holm_p` is left to `corrected`, which must see all measures.
    """
    return [
        _with_margin(
            MeasureDifference(
                spec,
                paired_bootstrap(a, b, spec, patients, n=resamples, seed=seed),
                known_difference(a, b, spec, patients),
                permutation_p(a, b, spec, patients, n=resamples, seed=seed),
            ),
            margins or {},
        )
        for spec in specs
    ]


def corrected(found: Sequence[MeasureDifference]) -> tuple[MeasureDifference, ...]:
    """The differences with their p corrected for each other (Holm)."""
    values = holm([item.p for item in found])
    return tuple(replace(item, holm_p=float(p)) for item, p in zip(found, values, strict=True))


def check_margins(margins: Mapping[str, float], specs: Sequence[MeasureSpec]) -> None:
    """Raises InputError for a margin that cannot be, or of a measure that is not compared."""
    sided = {spec.name for spec in specs if spec.better != "neither"}
    for name, margin in margins.items():
        if not 0 < margin < math.inf:
            raise InputError(f"A margin must be a positive number, not {margin:g}.")
        if name != EVERY and name not in sided:
            known = ", ".join(sorted(sided)) or "none"
            raise InputError(
                f"There is no measure '{name}' of both reports with a better side.",
                f"Those that have one: {known}.",
            )


def _with_margin(found: MeasureDifference, margins: Mapping[str, float]) -> MeasureDifference:
    spec = found.spec
    margin = margins.get(spec.name, None if spec.unit else margins.get(EVERY))
    if margin is None or spec.better == "neither":
        return found
    verdict = non_inferiority(
        found.paired.difference, found.low, found.high, margin, spec.better
    )  # fmt: skip
    return replace(found, margin=verdict)


def _show_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else show(p, 3)
