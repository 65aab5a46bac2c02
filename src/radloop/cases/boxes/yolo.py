"""YOLO's text files: one a picture, one row a box (`class cx cy w h`) or polygon (`class x y x y
...`), numbers as shares of the picture's sides; the classes' names in a YAML or plain text file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from radloop.cases.boxes.box import BadRow, Box, FilmBoxes, Point, fit, without_doubles
from radloop.errors import InputError

_BOX, _POLYGON = 5, 7  # numbers of a row, at least


def read_names(path: Path) -> dict[int, str]:
    """Class names by number, of a `data.yaml` (`names`: a list or a mapping) or a text file with a
    name a line. Raises InputError."""
    remedy = "Give the data.yaml of the collection, or a text file with one class name a line."
    try:
        text = path.read_text(encoding="utf-8-sig")
        loaded = yaml.safe_load(text) if path.suffix.lower() in (".yaml", ".yml") else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"The class names in {path.name} cannot be read.", remedy) from error
    if path.suffix.lower() in (".yaml", ".yml"):
        names = loaded.get("names") if isinstance(loaded, dict) else None
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise InputError(f"{path.name} has no class names.", remedy)
    try:
        named = {int(number): str(name).strip() for number, name in names.items()}
    except (TypeError, ValueError):
        raise InputError(f"The classes in {path.name} are not numbered.", remedy) from None
    if len(set(named.values())) < len(named) or not all(named.values()):
        raise InputError(f"Two classes in {path.name} have one name, or none.", "Rename one.")
    return named


def parse_yolo(
    text: str, names: dict[int, str], width: int, height: int, file: str, bad: list[BadRow]
) -> FilmBoxes:
    """The boxes of one picture's file; what is wrong with a row goes to `bad`."""
    boxes = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{file}, row {number}"
        box = _row(line.split(), names, width, height, where, bad)
        if box is not None:
            boxes.append(box)
    return FilmBoxes(width, height, without_doubles(boxes, file, bad))


def _row(
    cells: Sequence[str], names: dict[int, str], width: int, height: int, where: str,
    bad: list[BadRow],
) -> Box | None:  # fmt: skip
    try:
        number, *values = (float(cell) for cell in cells)
    except ValueError:
        bad.append(BadRow("malformed_box", where))
        return None
    is_box = len(cells) == _BOX
    if not is_box and (len(cells) < _POLYGON or len(cells) % 2 == 0):
        bad.append(BadRow("malformed_box", where))
        return None
    if number not in names:
        bad.append(BadRow("unknown_class", where))
        return None
    if is_box:
        x, y, w, h = values
        if w < 0 or h < 0:
            bad.append(BadRow("empty_box", where))
            return None
        values = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    points: list[Point] = [
        (x * width, y * height) for x, y in zip(values[::2], values[1::2], strict=True)
    ]
    return fit(points, names[int(number)], width, height, where, bad, polygon=not is_box)


def yolo_text(film: FilmBoxes, names: Sequence[str]) -> str:
    """The text file of one picture; a box that was drawn as a polygon is written as one."""
    rows = []
    for box in film.boxes:
        if box.polygon:
            shares = [c for x, y in box.polygon for c in (x / film.width, y / film.height)]
        else:
            shares = [
                (box.x0 + box.x1) / 2 / film.width, (box.y0 + box.y1) / 2 / film.height,
                (box.x1 - box.x0) / film.width, (box.y1 - box.y0) / film.height,
            ]  # fmt: skip
        rows.append(" ".join([str(names.index(box.label)), *(f"{s:.10g}" for s in shares)]))
    return "".join(row + "\n" for row in rows)


def names_yaml(names: Sequence[str]) -> str:
    """The `data.yaml` beside the text files."""
    return str(yaml.safe_dump({"nc": len(names), "names": list(names)}, allow_unicode=True))
