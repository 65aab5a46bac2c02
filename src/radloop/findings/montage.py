"""Pictures of a scan: all its slices on one sheet, the positive ones marked, and heat maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from radloop.findings.picture import Rgb, caption_strip, heated

MARK: Rgb = (240, 110, 30)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Rgb = (255, 255, 255)
_GREY: Rgb = (150, 150, 150)

Grey = npt.NDArray[np.uint8]
Picture = npt.NDArray[np.uint8]


def draw_montage(
    slices: Sequence[Grey],
    labels: Sequence[str],
    marked: Mapping[int, str],
    *,
    heat: Mapping[int, npt.NDArray[np.float32]] | None = None,
    outlined: Mapping[int, npt.NDArray[np.bool_]] | None = None,
    title: str = "",
    caption: str = "",
    tile: int = 160,
    columns: int = 8,
) -> Picture:
    """Slices in rows from the first to the last, over a strip with title and caption.

    slices: `(y, x)` each, of one shape. labels: what stands in each tile's corner. marked: number
    of a slice -> what stands at its foot; it has a frame. heat: number of a slice -> `(y, x)` in
    0..1, laid over it. outlined: number of a slice -> mask `(y, x)`, whose contour is drawn.
    Returns `(rows, columns, 3)` uint8 RGB.
    """
    tiles = []
    for k, (one, label) in enumerate(zip(slices, labels, strict=True)):
        small = cv2.resize(one, (tile, tile), interpolation=cv2.INTER_AREA)
        canvas = np.repeat(np.asarray(small, np.uint8)[..., None], 3, axis=2)
        if heat and k in heat:
            warm = np.asarray(cv2.resize(heat[k], (tile, tile)), np.float32)
            canvas = heated(canvas, warm)
        if outlined and k in outlined:
            _outline(canvas, outlined[k])
        _write(canvas, label, (5, 15), _GREY)
        if k in marked:
            cv2.rectangle(canvas, (1, 1), (tile - 2, tile - 2), MARK, 2)
            _write(canvas, marked[k], (6, tile - 8), MARK)
        tiles.append(canvas)
    columns = min(columns, max(1, len(tiles)))
    empty = np.zeros((tile, tile, 3), np.uint8)
    tiles += [empty] * (math.ceil(len(tiles) / columns) * columns - len(tiles))
    rows = [np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)]
    texts = [text for text in (title, caption) if text]
    sheet = np.vstack(rows)
    return np.vstack([sheet, caption_strip(sheet.shape[1], 0.55, texts)]) if texts else sheet


def _outline(canvas: Picture, mask: npt.NDArray[np.bool_]) -> None:
    """The contour of a mask, between its pixels and those around it."""
    size = canvas.shape[:2]
    large = cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, MARK, 1)


def _write(canvas: Picture, text: str, place: tuple[int, int], colour: Rgb) -> None:
    text = text.encode("ascii", "replace").decode()
    cv2.putText(canvas, text, place, _FONT, 0.42, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(canvas, text, place, _FONT, 0.42, colour, 1, cv2.LINE_AA)
