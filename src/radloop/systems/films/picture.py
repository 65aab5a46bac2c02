"""Pictures of a film with its answers: plain, and one panel a question with its heat map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from radloop.findings.picture import draw_film
from radloop.systems.base import Explain, Interpretation
from radloop.systems.regions.film import from_square

PANELS = 6
"""Panels of heat maps, at most."""
_PANEL = 512
Picture = npt.NDArray[np.uint8]


def draw_answers(
    film: npt.NDArray[np.uint8],
    read: Interpretation,
    refused: bool,
    shown: Sequence[tuple[int, str]],
    explain: Explain,
) -> dict[str, Picture]:
    """Pictures by name, `(y, x, 3)` RGB: "" the film, "heat" the panels.

    film: `(y, x)`. shown: of every panel the network's output, and what stands below it.
    """
    caption = read.caption or " ".join(read.verdict.messages)
    plain = draw_film(film, {}, title="REFUSED" if refused else "", caption=caption, sides=None)
    if refused or not shown:
        return {"": plain}
    some = list(shown)[:PANELS]
    maps = explain([output for output, _ in some])
    panels = [
        draw_film(film, {}, heat=from_square(one, film.shape), caption=words, sides=None,
                  longest=_PANEL)
        for one, (_, words) in zip(maps, some, strict=True)
    ]  # fmt: skip
    gap = np.zeros((panels[0].shape[0], 4, 3), np.uint8)
    row = [piece for panel in panels for piece in (panel, gap)][:-1]
    return {"": plain, "heat": np.hstack(row)}
