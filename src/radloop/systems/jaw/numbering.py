"""From what a detector found to numbered teeth and missing ones: the three rules one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from radloop.systems.jaw.doubles import drop_doubles
from radloop.systems.jaw.gaps import Look, missing_between, with_placeholders
from radloop.systems.jaw.numbers import ARCHES, PERMANENT, Arch, deciduous, template
from radloop.systems.jaw.sequence import Floats, align, by_dentition, slide
from radloop.systems.jaw.tooth import Tooth, split_arches

Rule = Literal["align", "align_alone", "slide"]
STEPS = ("detected", "filtered", "slid", "aligned_alone", "aligned", "charted")
"""Before any rule; after the filter; the paper's rule with placeholders of missing teeth; ours
without and with what is known of missing teeth; the one of these three that the chart has."""
_STEP_OF: Mapping[Rule, str] = {
    "align": "aligned", "align_alone": "aligned_alone", "slide": "slid"
}  # fmt: skip


@dataclass(frozen=True)
class Numbered:
    """teeth: as the rules leave them. steps: the teeth after each of `STEPS`, for comparison."""

    teeth: tuple[Tooth, ...]
    steps: Mapping[str, tuple[Tooth, ...]] = field(default_factory=dict)


def number_teeth(
    found: Sequence[Tooth], film_width: float, look: Look, rule: Rule = "align"
) -> Numbered:
    """The teeth of a film with the numbers that the order of the arches gives them.

    found: what the detector found and is sure enough of, px. look: runs the network of gaps.
    """
    filtered = drop_doubles(found)
    slid: list[Tooth] = []
    alone: list[Tooth] = []
    aligned: list[Tooth] = []
    for name, teeth in split_arches(filtered).items():
        permanent, first = by_dentition(teeth)
        missing = missing_between(permanent, film_width, look)
        slid += _slid(permanent, name, missing) + list(first)
        first = align(first, name, first_dentition=True)
        alone += [*align(permanent, name), *first]
        aligned += [*align(permanent, name, missing), *first]
    steps = dict(zip(STEPS[:-1], map(tuple, (found, filtered, slid, alone, aligned)), strict=True))
    charted = steps[_STEP_OF[rule]]
    return Numbered(charted, {**steps, "charted": charted})


def _slid(teeth: Sequence[Tooth], of: Arch, missing: Floats) -> list[Tooth]:
    numbers, scores = with_placeholders(teeth, missing)
    moved = slide(numbers, scores, of)
    real = [new for new, old in zip(moved, numbers, strict=True) if old is not None]
    return [replace(t, number=new or "") for t, new in zip(teeth, real, strict=True)]


def missing_places(teeth: Sequence[Tooth], whole: bool) -> dict[str, Literal["between", "end"]]:
    """The permanent teeth that are not there, and whether others of the arch stand on both sides.

    whole: whether the film shows all of both arches (a panoramic film); otherwise nothing is known
    beyond the outermost tooth. A place where a deciduous tooth stands is not missing its successor,
    and a film without any tooth may as well be no film of teeth.
    """
    there = {tooth.number for tooth in teeth if tooth.number}
    whole = whole and bool(there)
    kept = {f"{int(n[0]) - 4}{n[1]}" for n in there if deciduous(n)}
    missing: dict[str, Literal["between", "end"]] = {}
    for name in ARCHES:
        places = template(name)
        own = [k for k, place in enumerate(places) if place in there | kept]
        for k, place in enumerate(places):
            between = bool(own) and own[0] < k < own[-1]
            if place not in there | kept and (between or whole):
                missing[place] = "between" if between else "end"
    return {place: missing[place] for place in PERMANENT if place in missing}
