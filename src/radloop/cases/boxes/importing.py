"""Importers of boxes, and their way back: a case table with a COCO file beside it.

Nothing is dropped in silence: every row that could not be taken over as it stands is in the report,
by file and row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from radloop.cases.boxes.box import BAD_ROWS, BadRow, Box, Collected, FilmBoxes
from radloop.cases.boxes.coco import case_boxes, coco_text, parse_coco
from radloop.cases.boxes.labels import BoxLabels
from radloop.cases.boxes.voc import parse_voc, voc_text
from radloop.cases.boxes.yolo import names_yaml, parse_yolo, read_names, yolo_text
from radloop.cases.case import Case, Reference
from radloop.cases.importing import ImportNote, ImportReport, candidate_images, finish_import, note
from radloop.cases.names import ImageNames
from radloop.cases.table import CaseTable
from radloop.errors import InputError
from radloop.images.read import read_radiograph
from radloop.images.write import write_text

FORMATS = ("voc", "yolo", "coco")
_Parse = Callable[[bytes, int, int, str, list[BadRow]], FilmBoxes | None]


def import_yolo(
    images: Path, labels: Path, names: Path, patient_from: str | None = None, *, out: Path,
    label: str | None = None, labels_by_class: Mapping[str, str] | None = None,
) -> ImportReport:  # fmt: skip
    """Write the case table of images with YOLO text files (boxes and polygons).

    labels: a folder with one file an image, of its name; an empty file says that there is nothing,
    a missing one says nothing. names: the classes (see `read_names`). label: also write
    `label:<label>`, 1 where an image has any box and 0 where it is known to have none.
    labels_by_class: name -> `CLASS`, or several separated by `|`: 1 where an image has a box of
    them, otherwise 0. For a name `QUESTION:ANSWER` it is unknown where an image has no box, or
    boxes that give two answers to the question.

    Raises InputError: no images, no readable class names, no file that fits an image.
    """
    classes = read_names(names)

    def parse(content: bytes, width: int, height: int, file: str, bad: list[BadRow]) -> FilmBoxes:
        text = content.decode("utf-8-sig", errors="replace")
        return parse_yolo(text, classes, width, height, file, bad)

    rules = BoxLabels(label, labels_by_class or {})
    return _import_files(
        images, labels, ".txt", parse, list(classes.values()), patient_from, out, rules
    )


def import_voc(
    images: Path, annotations: Path, patient_from: str | None = None, *, out: Path,
    label: str | None = None, labels_by_class: Mapping[str, str] | None = None,
) -> ImportReport:  # fmt: skip
    """Write the case table of images with Pascal VOC files (LabelImg); see `import_yolo`."""
    rules = BoxLabels(label, labels_by_class or {})
    return _import_files(images, annotations, ".xml", parse_voc, None, patient_from, out, rules)


def import_coco(
    images: Path, annotations: Path, patient_from: str | None = None, *, out: Path,
    label: str | None = None, labels_by_class: Mapping[str, str] | None = None,
) -> ImportReport:  # fmt: skip
    """Write the case table of images with a COCO file; see `import_yolo`.

    An image that the file does not list has unknown boxes.
    """
    found = ImageNames(images, candidate_images(images))
    given = parse_coco(annotations)
    films: dict[Path, FilmBoxes] = {}
    alone = []
    sizes = _sizes([f for name in given.films if (f := found.find(name)) is not None])
    for name, film in given.films.items():
        image = found.find(name)
        if image is None:
            alone.append(name)
        elif sizes[image] is None:
            given.bad.append(BadRow("image_unreadable", image.name))
        elif sizes[image] != (film.width, film.height):
            given.bad.append(BadRow("size_differs", f"{annotations.name}, image {name}"))
        else:
            films[image] = film
    given.bad += [BadRow("boxes_without_image", f"{annotations.name}, image {n}") for n in alone]
    rules = BoxLabels(label, labels_by_class or {})
    return _write(found, films, None, given.bad, patient_from, out, rules)


def _import_files(
    images: Path, folder: Path, suffix: str, parse: _Parse, classes: Sequence[str] | None,
    patient_from: str | None, out: Path, rules: BoxLabels,
) -> ImportReport:  # fmt: skip
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder.name}.", f"Give that of the {suffix} files.")
    found = ImageNames(images, candidate_images(images))
    collected = Collected()
    files: dict[Path, Path] = {}
    for file in sorted(folder.rglob(f"*{suffix}")):
        image = found.find(file.relative_to(folder).as_posix())
        if image is None:
            collected.bad.append(BadRow("boxes_without_image", file.name))
        elif image in files:
            raise InputError(
                f"Two files have boxes of {image.name}: {files[image].name} and {file.name}.",
                "Keep one.",
            )
        else:
            files[image] = file
    if not files:
        raise InputError(
            f"No {suffix} file in {folder.name} has the name of an image.",
            "A file of boxes is named like its image, apart from the suffix.",
        )
    sizes = _sizes(list(files))
    films: dict[Path, FilmBoxes] = {}
    for image, file in files.items():
        size = sizes[image]
        if size is None:
            collected.bad.append(BadRow("image_unreadable", image.name))
            continue
        film = parse(file.read_bytes(), *size, file.name, collected.bad)
        if film is not None:
            films[image] = film
    return _write(found, films, classes, collected.bad, patient_from, out, rules)


def _sizes(images: Sequence[Path]) -> dict[Path, tuple[int, int] | None]:
    """Width and height of each film as it is read, None when it cannot be."""

    def size(path: Path) -> tuple[int, int] | None:
        image = read_radiograph(path).image
        return None if image is None else (int(image.array.shape[1]), int(image.array.shape[0]))

    with ThreadPoolExecutor() as pool:
        return dict(zip(images, pool.map(size, images), strict=True))


def _write(
    found: ImageNames, films: Mapping[Path, FilmBoxes], classes: Sequence[str] | None,
    bad: Sequence[BadRow], patient_from: str | None, out: Path, rules: BoxLabels,
) -> ImportReport:  # fmt: skip
    used = {box.label for film in films.values() for box in film.boxes}
    names = list(classes) if classes is not None else sorted(used)
    notes: list[ImportNote] = []
    for code, text in BAD_ROWS.items():
        note(notes, code, text, [row.where for row in bad if row.code == code])
    without = [file.name for file in found.paths if file not in films]
    note(notes, "images_without_boxes", "Images of which no boxes are known", without)
    stated = rules.of_films(films, names)
    torn = sorted(image.name for image, (_, several) in stated.items() if several)
    note(notes, "several_answers", "Images whose boxes give two answers to one question", torn)
    path = out.with_suffix(".boxes.json")
    by_name = {_relative(image, path.parent): film for image, film in films.items()}
    write_text(path, coco_text(by_name, names))
    references = {
        file: Reference(
            labels=stated[file][0] if file in stated else {},
            boxes=path if file in films else None,
        )
        for file in found.paths
    }
    return finish_import(found, references, patient_from, notes, out)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def export_boxes(table: CaseTable, format: str, out: Path) -> int:
    """Write the boxes of a table for other programs; returns how many pictures have them.

    format: "voc" (a folder of XML files), "yolo" (`labels/`, `data.yaml`) or "coco"
    (`annotations.json`). Files are named by case. Cases without known boxes are left out. Raises
    InputError for an unknown format and a table without boxes.
    """
    if format not in FORMATS:
        raise InputError(f"There is no box format '{format}'.", f"Known: {', '.join(FORMATS)}.")
    known: dict[str, tuple[Case, tuple[Box, ...]]] = {}
    for case in table.cases:
        boxes = case_boxes(case)
        if boxes is not None:
            known[case.case_id] = case, boxes
    if not known:
        raise InputError(f"{table.path.name} has no boxes.", "Import some: `radloop import yolo`.")
    sizes = _sizes([case.image for case, _ in known.values()])
    films = {}
    for name, (case, boxes) in known.items():
        size = sizes[case.image]
        if size is not None:
            films[name] = FilmBoxes(*size, boxes)
    names = sorted({box.label for film in films.values() for box in film.boxes})
    if format == "coco":
        pictures = {known[name][0].image.name: film for name, film in films.items()}
        write_text(out / "annotations.json", coco_text(pictures, names))
    if format == "yolo":
        write_text(out / "data.yaml", names_yaml(names))
    for name, film in films.items():
        stem = known[name][0].image.stem
        if format == "yolo":
            write_text(out / "labels" / f"{stem}.txt", yolo_text(film, names))
        if format == "voc":
            write_text(out / f"{stem}.xml", voc_text(film, known[name][0].image.name))
    return len(films)
