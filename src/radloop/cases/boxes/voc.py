"""Pascal VOC's XML files as LabelImg writes them: one a picture, corners in px.

Corners are taken as they stand, as edges, which is how LabelImg draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from radloop.cases.boxes.box import BadRow, FilmBoxes, fit, without_doubles

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def parse_voc(
    content: bytes, width: int, height: int, file: str, bad: list[BadRow]
) -> FilmBoxes | None:
    """The boxes of one picture's file; None, with the reason in `bad`, when it cannot be used."""
    # No annotation needs a document type; entities in one can blow up to gigabytes.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        bad.append(BadRow("unreadable_annotation", file))
        return None
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError):
        bad.append(BadRow("unreadable_annotation", file))
        return None
    stated = [_number(root.find("size"), name) for name in ("width", "height")]
    # LabelImg writes 0 x 0 for pictures it could not measure.
    if all(stated) and stated != [width, height]:
        bad.append(BadRow("size_differs", file))
        return None
    boxes = []
    for number, item in enumerate(root.iter("object"), start=1):
        where = f"{file}, object {number}"
        label = (item.findtext("name") or "").strip()
        corners = [_number(item.find("bndbox"), name) for name in _CORNERS]
        if None in corners:
            bad.append(BadRow("malformed_box", where))
            continue
        if not label:
            bad.append(BadRow("unknown_class", where))
            continue
        x0, y0, x1, y1 = (float(c) for c in corners if c is not None)
        if x1 < x0 or y1 < y0:
            bad.append(BadRow("empty_box", where))
            continue
        box = fit([(x0, y0), (x1, y1)], label, width, height, where, bad)
        if box is not None:
            boxes.append(box)
    return FilmBoxes(width, height, without_doubles(boxes, file, bad))


def _number(parent: ElementTree.Element | None, name: str) -> float | None:
    text = parent.findtext(name) if parent is not None else None
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def voc_text(film: FilmBoxes, image: str) -> str:
    """The XML file of one picture. `image`: its name."""
    objects = "".join(
        "  <object>\n"
        f"    <name>{escape(box.label)}</name>\n"
        "    <pose>Unspecified</pose>\n    <truncated>0</truncated>\n"
        "    <difficult>0</difficult>\n    <bndbox>\n"
        + "".join(
            f"      <{name}>{value:.10g}</{name}>\n"
            for name, value in zip(_CORNERS, box.corners, strict=True)
        )
        + "    </bndbox>\n  </object>\n"
        for box in film.boxes
    )
    size: Mapping[str, int] = {"width": film.width, "height": film.height, "depth": 1}
    sizes = "".join(f"    <{name}>{value}</{name}>\n" for name, value in size.items())
    return (
        "<annotation>\n"
        f"  <filename>{escape(PurePosixPath(image).name)}</filename>\n"
        f"  <size>\n{sizes}  </size>\n  <segmented>0</segmented>\n{objects}</annotation>\n"
    )
