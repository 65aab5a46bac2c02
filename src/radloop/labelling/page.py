"""The page of pictures of one reader's queue: one file that works without a server or a network.

Films are scaled down and carried inside as JPEG, slices windowed as they are stored, whole scans as
a sheet of slices. Answers stay in the browser until a button saves them as the sheet's CSV.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.findings.montage import draw_montage
from radloop.images.image import Reading
from radloop.images.scans import read_image
from radloop.images.write import write_text
from radloop.labelling.draw import blinded
from radloop.labelling.sheet import COLUMNS
from radloop.labelling.state import UNSURE, Item, Queue, State
from radloop.pages import data_uri, render

SIDE = 1024
"""The longest side of a picture, px."""
_QUALITY = 85
_MOST_SLICES = 48
Picture = npt.NDArray[np.uint8]


def write_page(
    path: Path,
    state: State,
    queue: Queue,
    reader: str,
    project: Path,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the page of what the reader has still to answer. An image that cannot be read has its
    place on the page, with the reason. Raises WriteError."""
    write_text(path, page_html(state, queue, reader, project, progress))


def page_html(
    state: State,
    queue: Queue,
    reader: str,
    project: Path,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """The page; pictures stand in the reader's blinded order, without the names of their files."""
    left = [task.item for task in state.open_tasks(queue, reader)]
    names = blinded(left, queue.token, reader)
    reading = _Reader(project)
    items: list[dict[str, Any]] = []
    for done, name in enumerate(names, start=1):
        picture, said = reading.picture(state.items[name])
        items.append({"item": name, "said": said, "picture": picture})
        if progress is not None:
            progress(done, len(names))
    question = state.settings.question
    keys = (
        [(str(k), name, name) for k, name in enumerate(question.classes, start=1)]
        if question.classes
        else [("1", "1", "yes"), ("0", "0", "no")]
    )
    return render(
        Path(__file__).with_name("queue.html"),
        question=question.name.replace("_", " "),
        title=f"{queue.name} for {reader}",
        role=queue.role,
        reader=reader,
        answers=[*keys, (UNSURE, UNSURE, "cannot tell")],
        items=items,
        data={
            "queue": queue.token,
            "reader": reader,
            "columns": COLUMNS,
            "file": f"{queue.name}-{reader}.csv",
            "items": [one["item"] for one in items],
            "keys": {key: value for key, value, _ in (*keys, (UNSURE, UNSURE, ""))},
        },
    )


class _Reader:
    """Reads pictures; the last volume is kept, since its slices are often asked in turn."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.last: tuple[Path, Reading] | None = None

    def picture(self, item: Item) -> tuple[str, str]:
        """The address that carries the picture, "" without one, and what is to be said of it."""
        path = (self.project / item.image).resolve()
        if self.last is None or self.last[0] != path:
            self.last = (path, read_image(path))
        reading = self.last[1]
        if reading.image is None:
            return "", " ".join(reading.verdict.messages)
        shown = reading.image.as_uint8()
        if shown.ndim == 3 and item.slice is not None:
            if not 0 <= item.slice < len(shown):
                return "", f"The scan has no slice {item.slice}."
            shown = shown[item.slice]
        return _encoded(shown if shown.ndim == 2 else _sheet(shown)), ""


def _sheet(volume: Picture) -> Picture:
    """All slices of a scan on one sheet; of long ones evenly chosen."""
    places = np.unique(np.linspace(0, len(volume) - 1, min(len(volume), _MOST_SLICES)).round())
    chosen = [int(k) for k in places]
    return draw_montage([volume[k] for k in chosen], [str(k) for k in chosen], {})


def _encoded(picture: Picture) -> str:
    import cv2

    scale = min(1.0, SIDE / max(picture.shape[:2])) if picture.ndim == 2 else 1.0
    if scale < 1.0:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    if picture.ndim == 3:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.uint8)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data_uri(data.tobytes())
