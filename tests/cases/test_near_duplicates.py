"""Copies are found however they were altered; different films that look alike are not copies."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from films import Film

from radloop.cases.near_duplicates import Copy, near_duplicates, thumbnail


def chest(seed: int) -> Film:
    """A film that shares its anatomy with all others of this kind, and has fine detail of its own.

    Alike enough that every pair is a candidate, and only the proof tells them apart.
    """
    picture = np.full((160, 160), 120.0)
    for layer_seed, side, strength in ((0, 4, 50.0), (0, 12, 35.0), (seed, 40, 15.0)):
        noise = np.random.default_rng(layer_seed).standard_normal((side, side))
        picture += strength * cv2.resize(noise, (160, 160), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def saved_as_jpeg(picture: Film) -> Film:
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


ALTERED: dict[str, Callable[[Film], Film]] = {
    "the same": lambda f: f,
    "saved as JPEG": saved_as_jpeg,
    "half the size": lambda f: cv2.resize(f, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "larger": lambda f: cv2.resize(f, None, fx=1.6, fy=1.6),
    "brighter": lambda f: np.clip(f * 0.9 + 20.0, 0, 255).astype(np.uint8),
    "darker": lambda f: (255 * (f / 255.0) ** 1.4).astype(np.uint8),
    "cropped": lambda f: f[6:-4, 5:-6],
    "cropped on one side": lambda f: f[:, 8:],
    "cropped all around": lambda f: f[9:-9, 9:-9],
    "turned a little": lambda f: cv2.warpAffine(
        f, cv2.getRotationMatrix2D((80, 80), 1.0, 1.0), (160, 160), borderMode=cv2.BORDER_REFLECT
    ),
}


def pairs(copies: list[Copy]) -> list[tuple[int, int, str]]:
    return [(copy.first, copy.second, copy.kind) for copy in copies]


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_copy_is_found_among_similar_films(how: str) -> None:
    films = [chest(seed) for seed in range(1, 9)]
    films.append(ALTERED[how](films[2]))
    assert pairs(near_duplicates([thumbnail(f) for f in films])) == [(2, 8, "copy")]


def test_a_mirrored_copy_is_named_so() -> None:
    films = [chest(seed) for seed in range(1, 9)]
    films.append(np.ascontiguousarray(films[5][2:-3, ::-1]))
    assert pairs(near_duplicates([thumbnail(f) for f in films])) == [(5, 8, "mirrored")]


def test_films_that_look_alike_are_no_copies() -> None:
    assert near_duplicates([thumbnail(chest(seed)) for seed in range(1, 12)]) == []


def test_three_copies_are_three_pairs() -> None:
    copies = near_duplicates([thumbnail(chest(1))] * 3)
    assert pairs(copies) == [(0, 1, "copy"), (0, 2, "copy"), (1, 2, "copy")]
    assert all(copy.agreement == pytest.approx(1, abs=1e-3) for copy in copies)


def test_nothing_to_compare_and_nothing_to_see() -> None:
    grey = np.full((128, 128), 90, np.uint8)
    assert near_duplicates([]) == near_duplicates([grey]) == near_duplicates([grey, grey]) == []
