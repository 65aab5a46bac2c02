"""Is this a frontal film of the pelvis, and which of what was found are its hips?

A detector that was shown other films finds little on them; what it finds there does not lie as two
hips do. How two hips lie (how large, how far apart, how level, where on the film) is learned from
the boxes of the training table: no measure may lie beyond what was seen there by more than half of
its range (or a detector's own error). Which hip is which follows from the place on the film for a
pair, and from its shape, as the detector says, for one alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.images.image import Image
from radloop.images.verdict import ACCEPTED, Verdict, refused, warned
from radloop.measures.detection import box_overlap
from radloop.systems.base import Array
from radloop.systems.pelvis.labels import SIDES
from radloop.systems.regions.film import Corners, to_film, within

LATERAL_VIEWS = ("LL", "RL", "LLD", "RLD", "LATERAL", "LAT")
FEWEST = 20
"""Pairs of hips from which geometry can be learned."""
_SAME_PLACE = 0.3
_CANDIDATES = 4
_SLACK = 0.5
_REMEDY = "Send a frontal film of the pelvis; if this is one, a reader should look at it."
MEASURES: Mapping[str, tuple[str, float]] = {
    "likeness": ("one is much larger than the other", 0.3),
    "distance": ("they are not as far apart as two hips", 0.4),
    "level": ("they are not level: the film is turned, or no pelvis", 0.15),
    "shape": ("they are not shaped as hips", 0.3),
    "size": ("they are not of the size of hips on such a film", 0.25),
    "across": ("they do not lie in the middle of the film", 0.1),
    "height": ("they lie too high or too low on the film", 0.1),
}
"""What is measured of a pair: what is wrong where it does not fit, and by how much it may always
lie beyond what was drawn, since a detector's boxes are not a reader's."""
_ALONE = ("shape", "size")


@dataclass(frozen=True)
class FoundHip:
    """A hip on a film. side: the patient's. corners: px of the file. score: the detector's."""

    side: str
    corners: Corners
    score: float


@dataclass(frozen=True)
class Scene:
    """What a film shows: hips by side, or a verdict that refuses it. one_hip: whether the film is
    of one hip, so that the other lies beyond its edge."""

    verdict: Verdict
    hips: Mapping[str, FoundHip]
    one_hip: bool = False


def examine_header(image: Image) -> Verdict:
    """What the file says of itself."""
    view = str(image.acquisition.get("view", "")).upper()
    if view in LATERAL_VIEWS:
        why = f"The file says that the film is a lateral one ({view})."
        return refused("lateral", f"{why} {_REMEDY}")
    return ACCEPTED


def read_scene(
    rows: Array, shape: tuple[int, int], settings: Mapping[str, Any],
    is_hip: Callable[[FoundHip], bool] = lambda hip: True,
) -> Scene:  # fmt: skip
    """The hips of a film of `shape` (rows, columns). is_hip: a second look at what was found.

    rows: of the detector, `(k, 6)`: boxes as shares of the square, score, class; class 2 is the
    score of the film as a whole.
    """
    whole = rows[rows[:, 5] == len(SIDES)]
    if len(whole) and float(whole[0, 4]) < float(settings.get("film", 0.5)):
        return _no_pelvis("As a whole it does not look like one.")
    found = candidates(rows, shape, float(settings.get("found", 0.3)))
    found = [hip for hip in found if is_hip(hip)]
    if not found:
        return _no_pelvis("No hip was found.")
    pairs = [_by_place(a, b) for a, b in combinations(found, 2)]
    wrong = [misfit(pair_measures(*pair, shape), settings.get("pair", {})) for pair in pairs]
    fitting = [pair for pair, what in zip(pairs, wrong, strict=True) if not what]
    if fitting:
        best = max(fitting, key=lambda pair: pair[0].score * pair[1].score)
        return Scene(ACCEPTED, dict(zip(SIDES, best, strict=True)))
    # A faint second find may be nothing; a clear one that fits no pair says that this is no pelvis.
    if pairs and found[1].score > 0.5 * found[0].score:
        return _no_pelvis(f"Two places look like hips, but {wrong[0]}.")
    return _alone(found[0], shape, settings)


def candidates(rows: Array, shape: tuple[int, int], least: float) -> list[FoundHip]:
    """Boxes with a score of `least`, by falling score, one a place."""
    hips: list[FoundHip] = []
    of_hips = rows[(rows[:, 5] >= 0) & (rows[:, 5] < len(SIDES)) & (rows[:, 4] >= least)]
    for row in of_hips[np.argsort(-of_hips[:, 4], kind="stable")]:
        corners = within(to_film(row[:4], shape, 1)[0], shape)
        taken = [hip.corners for hip in hips]
        if not taken or box_overlap([corners], taken).max() < _SAME_PLACE:
            hips.append(FoundHip(SIDES[int(row[5])], corners, float(row[4])))
    return hips[:_CANDIDATES]


def _by_place(a: FoundHip, b: FoundHip) -> tuple[FoundHip, FoundHip]:
    """Both as (right, left): the patient's right is on the left of a frontal film."""
    first, second = sorted((a, b), key=lambda hip: hip.corners[0] + hip.corners[2])
    return (
        FoundHip("right", first.corners, first.score),
        FoundHip("left", second.corners, second.score),
    )


def _alone(hip: FoundHip, shape: tuple[int, int], settings: Mapping[str, Any]) -> Scene:
    what = misfit(hip_measures(hip.corners, shape), settings.get("alone", {}))
    if what:
        return _no_pelvis(f"One place looks like a hip, but {what.replace('they are', 'it is')}.")
    other = SIDES[1 - SIDES.index(hip.side)]
    distance = settings.get("distance")
    if distance is not None and not _reaches(hip, shape, float(distance)):
        verdict = warned("one_hip", f"The film shows the {hip.side} hip alone.")
        return Scene(verdict, {hip.side: hip}, one_hip=True)
    message = f"No {other} hip was found on this film: a reader should look at it."
    return Scene(warned("region_not_found", message), {hip.side: hip})


def _reaches(hip: FoundHip, shape: tuple[int, int], distance: float) -> bool:
    """Whether the middle of the other hip would still be on the film. distance: of two hips in
    sizes of one."""
    x0, y0, x1, y1 = hip.corners
    step = distance * math.sqrt((x1 - x0) * (y1 - y0))
    x = (x0 + x1) / 2 + (step if hip.side == "right" else -step)
    return 0 <= x <= shape[1]


def _no_pelvis(why: str) -> Scene:
    return Scene(refused("not_a_pelvis", f"This is no frontal pelvis. {why} {_REMEDY}"), {})


def hip_measures(corners: Sequence[float], shape: tuple[int, int]) -> dict[str, float]:
    """Of one hip: logarithms of its shape (width by height) and of its size by the film's."""
    x0, y0, x1, y1 = corners
    width, height = max(x1 - x0, 1e-6), max(y1 - y0, 1e-6)
    return {
        "shape": math.log(width / height),
        "size": math.log(math.sqrt(width * height) / max(shape)),
    }


def pair_measures(right: FoundHip, left: FoundHip, shape: tuple[int, int]) -> dict[str, float]:
    """Of two hips: logarithm of the ratio of their sizes, distance in sizes, slope of the line
    through both, mean shape and size, and where their middle lies, in shares of the film."""
    boxes = np.array([right.corners, left.corners], np.float64)
    sizes = np.sqrt(np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-12))
    (x, y), (u, v) = (boxes[:, :2] + boxes[:, 2:]) / 2
    each = [hip_measures(hip.corners, shape) for hip in (right, left)]
    return {
        "likeness": float(np.log(sizes[0] / sizes[1])),
        "distance": float((u - x) / np.sqrt(sizes.prod())),
        "level": float(np.arctan2(v - y, max(u - x, 1e-6))),
        "shape": (each[0]["shape"] + each[1]["shape"]) / 2,
        "size": (each[0]["size"] + each[1]["size"]) / 2,
        "across": float((x + u) / 2 / shape[1] - 0.5),
        "height": float((y + v) / 2 / shape[0] - 0.5),
    }


def misfit(measured: Mapping[str, float], ranges: Mapping[str, Sequence[float]]) -> str:
    """What is wrong with the first measure that lies out of its range; "" when none does."""
    for name, (low, high) in ranges.items():
        if not low <= measured[name] <= high:
            return MEASURES[name][0]
    return ""


def learn_geometry(
    films: Sequence[tuple[Mapping[str, Corners], tuple[int, int]]],
) -> dict[str, Any]:
    """The settings `pair`, `alone` and `distance` from the hips (corners by side) and shapes of
    films; what fewer than `FEWEST` pairs would say is left out."""
    pairs = [
        pair_measures(FoundHip("right", hips["right"], 1), FoundHip("left", hips["left"], 1), shape)
        for hips, shape in films
        if len(hips) == len(SIDES)
    ]
    if len(pairs) < FEWEST:
        return {}
    single = [hip_measures(corners, shape) for hips, shape in films for corners in hips.values()]
    return {
        "pair": {name: _range([p[name] for p in pairs], MEASURES[name][1]) for name in MEASURES},
        "alone": {name: _range([s[name] for s in single], MEASURES[name][1]) for name in _ALONE},
        "distance": round(float(np.median([p["distance"] for p in pairs])), 4),
    }


def _range(values: Sequence[float], least: float) -> list[float]:
    """From the lowest to the highest of what was seen, and half of that more at both ends, `least`
    at least."""
    seen: npt.NDArray[np.float64] = np.asarray(values, np.float64)
    low, high = float(seen.min()), float(seen.max())
    more = max(_SLACK * (high - low), least)
    return [round(low - more, 4), round(high + more, 4)]
