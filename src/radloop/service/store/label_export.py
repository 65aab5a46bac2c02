"""Corrections as a label version: a case table that `radloop label` and `radloop train` take.

A case is an image that somebody judged: a film, or a series. For each label the newest word
counts, whoever said it, and every reader's own stands in `reader:<who>:<name>`. Agreeing confirms
the findings and boxes of a model, not the outline of its mask: only masks that were drawn are
written. Patients get a pseudonym that follows from the store's own key, so that splits stay by
patient and two exports agree; the images are as they came, with all that their headers say.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from radloop.cases.boxes.box import Box, FilmBoxes
from radloop.cases.boxes.coco import coco_text
from radloop.cases.case import Case, Reference
from radloop.cases.table import CaseTable, table_of, write_cases
from radloop.errors import InputError
from radloop.findings.codes import STOCK
from radloop.images.nifti import read_nifti, write_nifti_like
from radloop.images.read import read_radiograph
from radloop.images.write import atomic_path, write_bytes, write_png, write_text
from radloop.service.store.database import Store
from radloop.service.store.schema import Correction, Instance, Result, Series, Study

VERSION = "label_version"
_KEY = "pseudonym.key"


@dataclass(frozen=True)
class Exported:
    """What was written. version: `v<number>-<digest>`, the number of judgements it rests on and the
    digest of all labels. masks, boxed: how many cases have any."""

    path: Path
    version: str
    cases: int
    masks: int
    boxed: int


@dataclass
class _Judged:
    """An image and what people said of it, oldest first, each with the result it is about."""

    series: Series
    study: Study
    instances: list[Instance]
    said: list[tuple[Correction, Result]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The case: the series, or the film of it."""
        film = f"-{self.instances[0].id}" if len(self.instances) == 1 else ""
        return f"s-{self.series.id}{film}"


def export(store: Store, out: Path) -> Exported:
    """Write `cases.csv`, `images/`, and where there are any `masks/`, `boxes.json`, `labels.json`;
    `judgements.jsonl` has every judgement. The same corrections give the same table.

    Raises InputError when nobody has judged anything, WriteError.
    """
    judged = _judged(store)
    if not judged:
        raise InputError("Nobody has judged a result yet.", "Agree or correct on the pages first.")
    pseudonym = _pseudonyms(store)
    cases: list[Case] = []
    films: dict[str, FilmBoxes] = {}
    structures: dict[str, int] = {}
    for one in judged:
        image = _image(store, one, out)
        labels, readers = _labels(one.said)
        masks = _masks(store, one, out, structures)
        boxes = _boxes(one.said)
        shape = _shape(image) if boxes is not None else None
        if boxes is not None and shape is not None:
            films[image.relative_to(out).as_posix()] = FilmBoxes(shape[1], shape[0], boxes)
        boxed = out / "boxes.json" if shape is not None else None
        reference = Reference(labels=labels, masks=masks, readers=readers, boxes=boxed)
        patient = pseudonym(one.study.patient_id or one.study.study_uid)
        cases.append(Case(one.name, patient, {"image": image}, "", reference))
    if films:
        classes = sorted({box.label for film in films.values() for box in film.boxes})
        write_text(out / "boxes.json", coco_text(films, classes))
    if structures:
        write_text(out / "labels.json", json.dumps({"background": 0} | structures, indent=1) + "\n")
    lines = [_line(one, *pair) for one in judged for pair in one.said]
    write_text(out / "judgements.jsonl", "".join(lines))
    version = (
        f"v{sum(c.kind != 'comment' for o in judged for c, _ in o.said)}-{_digest(cases, films)}"
    )
    plain = table_of(cases, out / "cases.csv")
    table = CaseTable(
        plain.path, (*plain.columns, VERSION), plain.cases, tuple({VERSION: version} for _ in cases)
    )
    write_cases(table, table.path)
    masked = sum(bool(case.reference.masks) for case in cases)
    return Exported(table.path, version, len(cases), masked, len(films))


def _judged(store: Store) -> list[_Judged]:
    """Every image with a judgement of a result that is of the series as it is now."""
    found: dict[tuple[str, int | None], _Judged] = {}
    with store.reading() as session:
        rows = session.execute(
            select(Correction, Result, Series, Study)
            .join(Result, Result.id == Correction.result_id)
            .join(Series, Series.id == Result.series_id)
            .join(Study, Study.id == Result.study_id)
            .where(Result.revision == Series.revision)
            .order_by(Correction.id)
        ).all()
        for correction, result, series, study in rows:
            key = (series.id, result.instance_id)
            if key not in found:
                of = select(Instance).where(Instance.series_id == series.id)
                if result.instance_id is not None:
                    of = of.where(Instance.id == result.instance_id)
                files = list(session.scalars(of.order_by(Instance.number, Instance.id)))
                found[key] = _Judged(series, study, files)
            found[key].said.append((correction, result))
    judged = (one for one in found.values() if any(c.kind != "comment" for c, _ in one.said))
    return sorted(judged, key=lambda one: one.name)


def _pseudonyms(store: Store) -> Callable[[str], str]:
    """Patient identifier -> pseudonym, by a key that lies in the home folder and is made once."""
    path = store.settings.home / _KEY
    if not path.exists():
        path.touch(mode=0o600)
        write_bytes(path, secrets.token_bytes(32))
        path.chmod(0o600)
    key = path.read_bytes()
    return lambda patient: f"p-{hmac.new(key, patient.encode(), hashlib.sha256).hexdigest()[:12]}"


def _image(store: Store, one: _Judged, out: Path) -> Path:
    """The film, or the folder of the series, below `out`."""
    base = out / "images" / one.name
    if len(one.instances) == 1:
        first = one.instances[0]
        path = base.with_name(base.name + (".dcm" if first.sop_class else first.transfer_syntax))
        _copy(store.blobs.path(first.blob), path)
        return path
    for k, instance in enumerate(one.instances, start=1):
        _copy(store.blobs.path(instance.blob), base / f"{k:05d}.dcm")
    return base


def _copy(source: Path, path: Path) -> None:
    # Not a link: who changes the copy may not change the store.
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with atomic_path(path) as temporary:
            shutil.copyfile(source, temporary)


def _labels(
    said: Sequence[tuple[Correction, Result]],
) -> tuple[dict[str, bool], dict[tuple[str, str], float]]:
    """The labels in force, and each reader's own newest."""
    labels: dict[str, bool] = {}
    readers: dict[tuple[str, str], float] = {}
    for correction, result in said:
        given: Mapping[str, bool | None] = {}
        if correction.kind == "agree":
            given = _of_model(result)
        elif correction.kind == "label":
            given = correction.data["labels"]
        who = re.sub(r"[^\w.\-]", "_", correction.who) or "unknown"
        for name, value in given.items():
            labels.pop(name, None)
            readers.pop((who, name), None)
            if value is not None:
                labels[name], readers[who, name] = value, float(value)
    return labels, readers


def _of_model(result: Result) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for finding in result.prediction["findings"]:
        if finding["name"] not in STOCK:
            name = finding["name"]
            found[name] = found.get(name, False) or bool(finding["positive"])
    return found


def _boxes(said: Sequence[tuple[Correction, Result]]) -> tuple[Box, ...] | None:
    """The boxes in force; None where nobody said anything about boxes."""
    boxes: list[Box] | None = None
    for correction, result in said:
        if correction.kind == "box":
            boxes = [_box(b["box"], b["name"]) for b in correction.data["boxes"]]
        elif correction.kind in ("agree", "tooth"):
            of_model = _boxes_of_model(result)
            if boxes is None and (of_model or correction.kind == "tooth"):
                boxes = of_model
            if correction.kind == "tooth" and boxes is not None:
                old, new = correction.data["from"], correction.data["to"]
                boxes = [
                    _box(b.corners, new) if b.label == old else b
                    for b in boxes
                    if b.label != old or new is not None
                ]
    return None if boxes is None else tuple(boxes)


def _boxes_of_model(result: Result) -> list[Box]:
    """A tooth's box is named by its number, another by its finding."""
    boxes = []
    for finding in result.prediction["findings"]:
        where, name = finding["where"], finding["name"]
        if "box" in where and (finding["positive"] or name in STOCK):
            boxes.append(_box(where["box"], str(where["tooth"]) if name == "tooth" else name))
    return boxes


def _box(corners: Sequence[float], name: str) -> Box:
    x0, y0, x1, y1 = map(float, corners)
    return Box(x0, y0, x1, y1, name)


def _masks(store: Store, one: _Judged, out: Path, structures: dict[str, int]) -> dict[str, Path]:
    """The newest drawn mask, a file a structure; what its values meant is added to `structures`."""
    drawn = [c for c, _ in one.said if c.kind == "mask" and c.blob]
    if not drawn:
        return {}
    newest = drawn[-1]
    assert newest.blob is not None
    suffix = newest.data["suffix"]
    masks = {}
    whole = out / "masks" / f"{one.name}{suffix}"
    write_bytes(whole, store.blobs.read(newest.blob))
    array = _label_map(whole)
    for name, value in newest.data["labels"].items():
        structures.setdefault(name, value)
        structure = re.sub(r"[^\w.]", "_", name)
        path = out / "masks" / f"{one.name}-{structure}{suffix}"
        part = (array == value).astype(np.uint8)
        if suffix == ".png":
            write_png(path, part * 255)
        else:
            write_nifti_like(part, whole, path)
        masks[name] = path
    return masks


def _label_map(path: Path) -> npt.NDArray[Any]:
    """Raises InputError for a file that is no label map."""
    if path.suffix == ".png":
        import cv2

        array = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
        if array is None or array.ndim != 2:
            raise InputError("A corrected mask is no label map in grey.", "Draw it again.")
        return np.asarray(array)
    reading = read_nifti(path)
    if reading.image is None:
        raise InputError("A corrected mask is no volume that can be read.", "Draw it again.")
    return reading.image.array


def _shape(image: Path) -> tuple[int, int] | None:
    if not image.is_file():
        return None
    read = read_radiograph(image).image
    return (
        None if read is None or read.array.ndim != 2 else (read.array.shape[0], read.array.shape[1])
    )


def _line(one: _Judged, correction: Correction, result: Result) -> str:
    row = {
        "case_id": one.name,
        "who": correction.who,
        "when": correction.when.isoformat(),
        "kind": correction.kind,
        "data": correction.data,
        "system": result.system,
        "model": {
            "name": result.model_name,
            "version": result.model_version,
            "sha256": result.model_sha256,
        },
    }
    return json.dumps(row, sort_keys=True) + "\n"


def _digest(cases: Sequence[Case], films: Mapping[str, FilmBoxes]) -> str:
    rows: list[Any] = []
    for case in cases:
        reference = case.reference
        masks = {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in reference.masks.items()
        }
        rows.append(
            [case.case_id, dict(sorted(reference.labels.items())), dict(sorted(masks.items()))]
        )
    boxes = {
        name: sorted([box.label, *box.corners] for box in film.boxes)
        for name, film in sorted(films.items())
    }
    return hashlib.sha256(json.dumps([rows, boxes], sort_keys=True).encode()).hexdigest()[:8]
