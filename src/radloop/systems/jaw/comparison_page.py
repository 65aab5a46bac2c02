"""Two charts side by side, as a picture and as one page that a person can judge."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from radloop.findings.picture import caption_strip
from radloop.images.write import write_png, write_text
from radloop.pages import data_uri, render
from radloop.systems.jaw.chart import DentalChart
from radloop.systems.jaw.chart_picture import Picture, draw_chart
from radloop.systems.jaw.comparison import KINDS, ChartComparison
from radloop.systems.jaw.numbers import tooth_name

_WIDTH = 900


def side_by_side(earlier: DentalChart, later: DentalChart) -> Picture:
    """Both charts, the earlier one on the left, RGB."""
    pictures = [draw_chart(chart, _WIDTH) for chart in (earlier, later)]
    height = max(picture.shape[0] for picture in pictures)
    padded = [np.pad(p, ((0, height - p.shape[0]), (0, 0), (0, 0))) for p in pictures]
    named = [
        np.vstack([caption_strip(_WIDTH, 0.6, [text]), picture])
        for text, picture in zip(("earlier", "later"), padded, strict=True)
    ]
    gap = np.full((named[0].shape[0], 12, 3), 255, np.uint8)
    return np.asarray(np.hstack([named[0], gap, named[1]]), np.uint8)


def meaning(comparison: ChartComparison) -> str:
    """One sentence on what the comparison says."""
    impossible = comparison.count("impossible")
    seen = sum(comparison.count(kind) for kind in KINDS if kind != "unknown")
    if not seen:
        return "The films have no tooth in common: nothing can be said."
    if impossible:
        teeth = "tooth" if impossible == 1 else "teeth"
        return (
            f"{impossible} {teeth} cannot have become what the later film shows: two people, or a"
            " film that was read wrong. Look at these teeth first."
        )
    if comparison.score < 0:
        return (
            "No change is impossible, but so many are likelier between two people than in one,"
            " unless much time or a treatment lies between the films."
        )
    return "Nothing speaks against one person; how much speaks for it, the score says."


def write_comparison(
    folder: Path, earlier: DentalChart, later: DentalChart, comparison: ChartComparison
) -> Path:
    """Write `comparison.png` and `comparison.html` to `folder`; returns the page."""
    picture = side_by_side(earlier, later)
    write_png(folder / "comparison.png", picture)
    _, data = cv2.imencode(".png", picture[..., ::-1])
    rows = [
        (tooth.number, tooth_name(tooth.number), tooth.kind, tooth.reason, f"{tooth.score:+.2f}")
        for tooth in sorted(comparison.teeth, key=lambda t: t.score)
        if tooth.kind in ("explainable", "impossible")
    ]
    page = folder / "comparison.html"
    html = render(
        Path(__file__).with_name("comparison.html"),
        c=comparison, counts={kind: comparison.count(kind) for kind in KINDS}, rows=rows,
        meaning=meaning(comparison), score=f"{comparison.score:.1f}",
        picture=data_uri(data.tobytes(), "image/png"),
    )  # fmt: skip
    write_text(page, html.encode("utf-8", "replace").decode())
    return page
