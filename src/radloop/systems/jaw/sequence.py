"""The third rule: the order of an arch says which tooth must be which.

`align` (ours) lays the teeth of an arch along its template of 16 places in their order, each at
most once, so that the sum of what speaks for it is greatest: the detector's numbers, and how many
teeth are missing between neighbours. `slide` (Chen et al. 2019, Sci Rep 9:3840) does it with a
sequence whose gaps are filled already: it is moved along the template as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from radloop.systems.jaw.numbers import Arch, arch, deciduous, similarity, template
from radloop.systems.jaw.tooth import Tooth

Floats = npt.NDArray[np.float64]

NEAR = 0.45
"""What a tooth that looks alike counts, as a share of its similarity: below a half, so that two
right numbers outvote a wrong one whatever the categories are."""
GAPS = 0.2
"""What a likelihood ratio of e between two widths of a gap counts, in certain numbers."""
CLEAR = 1.05
"""What it counts at most: above 1, so that one number that contradicts a clear gap falls."""
EXTRA = 0.2
"""What it costs to leave a tooth out, as a share of its score."""
_SKIPPED = 3
"""Neighbouring teeth that may be left out, less one."""


def align(
    teeth: Sequence[Tooth], of: Arch, missing: Floats | None = None, near: float = NEAR,
    first_dentition: bool = False,
) -> tuple[Tooth, ...]:  # fmt: skip
    """The teeth of an arch, sorted from left to right, with the numbers of the best alignment; one
    that fits nowhere has none (`Tooth.number` "").

    missing: `(len(teeth) - 1, most + 1)`, how likely it is that 0, 1, ... teeth are missing between
    a tooth and the next; the last column: so many or more. None: not known.
    """
    places = template(of, first_dentition)
    speaks_for = np.array([[_match(t, p, near) for p in places] for t in teeth]).reshape(
        len(teeth), len(places)
    )
    chosen = _best_path(speaks_for, np.array([EXTRA * t.score for t in teeth]), missing)
    return tuple(
        replace(tooth, number="" if place < 0 else places[place])
        for tooth, place in zip(teeth, chosen, strict=True)
    )


def _match(tooth: Tooth, place: str, near: float) -> float:
    if tooth.number == place:
        return tooth.score
    number, share = tooth.number, near
    if arch(number) != arch(place):  # its antagonist: the number was of the wrong jaw
        number = {"1": "4", "4": "1", "2": "3", "3": "2"}.get(number[0], number[0]) + number[1]
    return tooth.score * share * similarity(number, place)


def _best_path(speaks_for: Floats, cost: Floats, missing: Floats | None) -> list[int]:
    """The place of each tooth, rising, or -1, so that the sum is greatest (dynamic programming)."""
    count, places = speaks_for.shape
    path = [-1] * count
    if not count:
        return path
    left_out = np.concatenate([[0.0], np.cumsum(cost)])
    best = speaks_for - left_out[:-1, None]  # each as the first one that has a place
    came = np.full((count, places, 2), -1)
    for i in range(count):
        for j in range(max(0, i - _SKIPPED), i):
            steps = best[j][:, None] + _evidence(missing, j, i, places)
            total = speaks_for[i] + steps.max(0) - (left_out[i] - left_out[j + 1])
            better = total > best[i]
            best[i][better] = total[better]
            came[i][better] = np.stack([np.full(places, j), steps.argmax(0)], 1)[better]
    final = best - (left_out[-1] - left_out[1:])[:, None]
    i, p = (int(k) for k in np.unravel_index(int(final.argmax()), final.shape))
    while i >= 0:
        path[i] = p
        i, p = (int(k) for k in came[i, p])
    return path


def _evidence(missing: Floats | None, first: int, second: int, places: int) -> Floats:
    """What speaks for two teeth at places `(row, column)`: 0 at best, `-CLEAR` at worst, and
    never for places out of order."""
    skipped = np.arange(places)[None] - np.arange(places)[:, None] - 1
    if missing is None:
        evidence = np.zeros((places, places))
    elif second != first + 1:  # of these two nothing was measured
        evidence = np.full((places, places), -CLEAR / 2)
    else:
        likely = np.log(np.maximum(missing[first], 1e-9))
        likely = np.maximum(GAPS * (likely - likely.max()), -CLEAR)
        evidence = likely[np.clip(skipped, 0, len(likely) - 1)]
    return np.where(skipped >= 0, evidence, -np.inf)


def slide(
    numbers: Sequence[str | None], scores: Sequence[float], of: Arch, first_dentition: bool = False
) -> tuple[str | None, ...]:
    """The numbers of the best offset of a whole sequence along the template (Chen et al. 2019).

    numbers: from left to right, None for the placeholder of a missing tooth. A match scores the
    confidence, a near one the confidence times the similarity. Places beyond the template are None;
    of equal offsets the first wins.
    """
    places = template(of, first_dentition)
    best, chosen = -1.0, 0
    for offset in range(-len(numbers) + 1, len(places)):
        total = sum(
            score * similarity(number, places[k + offset])
            for k, (number, score) in enumerate(zip(numbers, scores, strict=True))
            if number is not None and 0 <= k + offset < len(places)
        )
        if total > best:
            best, chosen = total, offset
    return tuple(
        places[k + chosen] if 0 <= k + chosen < len(places) else None for k in range(len(numbers))
    )


def by_dentition(teeth: Sequence[Tooth]) -> tuple[tuple[Tooth, ...], tuple[Tooth, ...]]:
    """Permanent and deciduous teeth: each have a template of their own."""
    return (
        tuple(t for t in teeth if not deciduous(t.number)),
        tuple(t for t in teeth if deciduous(t.number)),
    )
