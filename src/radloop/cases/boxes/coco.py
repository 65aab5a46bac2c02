"""COCO's JSON file: pictures, classes and boxes of a whole collection; what a case table's `boxes`
column names. A picture that the file lists without a box has none; one that it does not list is
unknown."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from radloop.cases.boxes.box import BadRow, Box, Collected, FilmBoxes, fit, without_doubles
from radloop.cases.case import Case
from radloop.cases.names import ImageNames
from radloop.errors import CaseTableError, InputError


def parse_coco(path: Path) -> Collected:
    """All pictures of a file by `file_name`. Raises InputError for a file that is not COCO."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        images = {image["id"]: image for image in data["images"]}
        names = {one["id"]: str(one["name"]).strip() for one in data["categories"]}
        rows = list(data["annotations"])
        sizes = {
            i: (int(one["width"]), int(one["height"]), str(one["file_name"]))
            for i, one in images.items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path.name} is not a COCO file ({type(error).__name__}).",
            "It is JSON with 'images' (id, file_name, width, height), 'categories' and"
            " 'annotations'.",
        ) from error
    collected = Collected()
    boxes: dict[Any, list[Box]] = {i: [] for i in images}
    for number, row in enumerate(rows):
        where = f"{path.name}, annotation {_id(row, number)}"
        if not isinstance(row, dict) or _known(row.get("image_id"), images) is None:
            collected.bad.append(BadRow("boxes_without_image", where))
            continue
        width, height, _ = sizes[row["image_id"]]
        box = _box(row, names, width, height, where, collected.bad)
        if box is not None:
            boxes[row["image_id"]].append(box)
    for i, (width, height, name) in sizes.items():
        once = without_doubles(boxes[i], name, collected.bad)
        collected.films[name] = FilmBoxes(width, height, once)
    return collected


def _known(key: Any, table: Mapping[Any, Any]) -> Any:
    """The entry of a key that may be anything that JSON knows."""
    return None if isinstance(key, dict | list) else table.get(key)


def _id(row: Any, number: int) -> Any:
    return row.get("id", number) if isinstance(row, dict) else number


def _box(
    row: Mapping[str, Any], names: Mapping[Any, str], width: int, height: int, where: str,
    bad: list[BadRow],
) -> Box | None:  # fmt: skip
    label = _known(row.get("category_id"), names)
    if not label:
        bad.append(BadRow("unknown_class", where))
        return None
    outline = _outline(row.get("segmentation"))
    try:
        x, y, w, h = (float(v) for v in row["bbox"])
    except (KeyError, TypeError, ValueError):
        bad.append(BadRow("malformed_box", where))
        return None
    if w < 0 or h < 0:
        bad.append(BadRow("empty_box", where))
        return None
    if outline and fit(outline, label, width, height, where, []) is not None:
        return fit(outline, label, width, height, where, bad, polygon=True)
    return fit([(x, y), (x + w, y + h)], label, width, height, where, bad)


def _outline(segmentation: Any) -> list[tuple[float, float]]:
    """The points of a single polygon; of several, or of a run-length mask, none."""
    if not isinstance(segmentation, list) or len(segmentation) != 1:
        return []
    try:
        flat = [float(v) for v in segmentation[0]]
    except (TypeError, ValueError):
        return []
    if len(flat) < 6 or len(flat) % 2:
        return []
    return list(zip(flat[::2], flat[1::2], strict=True))


def coco_text(films: Mapping[str, FilmBoxes], names: Sequence[str]) -> str:
    """A COCO file. films: by `file_name`; names: of the classes, numbered from 1."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, film) in enumerate(films.items(), start=1):
        size = {"width": film.width, "height": film.height}
        images.append({"id": number, "file_name": name, **size})
        for box in film.boxes:
            w, h = box.x1 - box.x0, box.y1 - box.y0
            flat = [round(c, 6) for point in box.polygon for c in point]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": names.index(box.label) + 1,
                    "bbox": [round(v, 6) for v in (box.x0, box.y0, w, h)],
                    "area": round(w * h, 6),
                    "segmentation": [flat] if flat else [],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": k, "name": name} for k, name in enumerate(names, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(content, indent=1) + "\n"


def case_boxes(case: Case) -> tuple[Box, ...] | None:
    """The reference boxes of a case in px of its film; None where they are not known.

    Raises CaseTableError when the case's COCO file cannot be read, or a box in it is bad.
    """
    path = case.reference.boxes
    if path is None:
        return None
    collected, names = _opened(path, path.stat().st_mtime_ns if path.is_file() else 0)
    listed = names.find(_below(case.image, path.parent))
    if listed is None:
        return None
    name = names.paths[listed]
    bad = [row for row in collected.bad if row.code not in ("box_cut", "box_doubled")]
    if bad:
        raise CaseTableError(
            f"{path.name} holds {len(bad)} boxes that cannot be used ({bad[0].where}:"
            f" {bad[0].code}).",
            "Import it again with `radloop import coco`, which lists and leaves out what is wrong.",
        )
    return collected.films[name].boxes


@lru_cache(maxsize=8)
def _opened(path: Path, changed: int) -> tuple[Collected, ImageNames]:
    try:
        collected = parse_coco(path)
    except InputError as error:
        raise CaseTableError(error.what, error.remedy) from error
    root = Path("/")
    return collected, ImageNames(root, [root / name for name in collected.films])


def _below(image: Path, folder: Path) -> str:
    return Path(os.path.relpath(image, folder)).as_posix()
