"""One page of a prediction folder that a radiologist can read: `index.html`, self-contained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from radloop.findings.finding import Finding, Prediction
from radloop.images.write import write_text
from radloop.pages import data_uri, render

PAGE_NAME = "index.html"
_THUMBNAIL_WIDTH = 360
_MOST_THUMBNAILS = 500  # beyond it the page would grow past what a browser shows with ease


class Listed(Protocol):
    """What a line of the page needs: a case, its place in the worklist, and why it is there."""

    @property
    def rank(self) -> int: ...
    @property
    def group(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def prediction(self) -> Prediction: ...
    @property
    def finding(self) -> Finding | None: ...


def write_page(folder: Path, items: Sequence[Listed]) -> Path:
    """Write `index.html` into a prediction folder, of its cases in worklist order.

    The cases that were not read stand in a list of their own at the end, which the top of the
    page points to. Pictures are embedded as small copies, for the first 500 cases; a click opens
    the full one in the folder. Raises WriteError.
    """
    path = folder / PAGE_NAME
    html = render_page(folder, items)
    write_text(path, html.encode("utf-8", "replace").decode())  # a file's name may be no Unicode
    return path


def render_page(folder: Path, items: Sequence[Listed]) -> str:
    """The page's HTML; every text of the data is escaped."""
    groups = [item.group for item in items]
    return render(
        Path(__file__).with_name("worklist.html"),
        read=[item for item in items if not item.prediction.verdict.refused],
        refused=[item for item in items if item.prediction.verdict.refused],
        counts={group: groups.count(group) for group in dict.fromkeys(groups)},
        models=sorted({(p.model.name, p.model.version) for p in (i.prediction for i in items)}),
        systems=sorted({item.prediction.system for item in items}),
        thumbnails={
            item.rank: _thumbnail(folder, item.prediction.files.get("picture", ""))
            for item in items[:_MOST_THUMBNAILS]
        },
    )


def _thumbnail(folder: Path, name: str) -> str:
    """A small JPEG copy as an address that carries its bytes; "" without a readable picture."""
    import cv2

    path = folder / name
    # the name comes from a file: never read outside the folder for it
    if not name or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return ""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        return ""
    height, width = picture.shape[:2]
    scale = min(1.0, _THUMBNAIL_WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data_uri(data.tobytes())
