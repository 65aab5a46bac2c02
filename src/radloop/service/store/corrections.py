"""What people say of results: rows that are added and never changed.

`data` by kind:

- "agree": nothing; the result's findings are right as they stand.
- "label": `{"labels": {NAME: true | false | null}}`, findings that are there, are not, or that
  nobody can tell.
- "box": `{"boxes": [{"box": [x0, y0, x1, y1], "name": NAME}, ...]}`, all that are on the film
  (px of the file), instead of the model's.
- "tooth": `{"from": "16", "to": "17"}`, another number by ISO 3950 for a tooth of the chart, or
  `"to": null` for what is no tooth.
- "mask": `{"labels": {STRUCTURE: number}, "suffix": ".png" | ".nii.gz"}`, and the label map as a
  file on the grid of the input.
- "comment": `{"text": TEXT}`; it does not count as a judgement.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from radloop.errors import InputError
from radloop.service.store import schema
from radloop.service.store.database import Store
from radloop.service.store.facts import clean_text
from radloop.service.store.intake import insert_new
from radloop.service.store.placing import refresh_reviewed
from radloop.service.store.schema import Blob, Result, Study, utc_now

if TYPE_CHECKING:
    from radloop.service.store.label_export import Exported

KINDS = ("agree", "label", "box", "tooth", "mask", "comment")
_TOOTH = re.compile(r"[1-4][1-8]|[5-8][1-5]")
_NAME = re.compile(r"[\w.:\-]{1,64}")
_LONGEST = 4000
_MOST = 1000


@dataclass(frozen=True)
class Correction:
    """A correction to be added. blob: the hash of a mask that lies in the store."""

    study_id: str
    who: str
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)
    result_id: str | None = None
    blob: str | None = None


def add(store: Store, correction: Correction, now: datetime | None = None) -> int:
    """Append a correction; a study whose current results were all judged counts as reviewed.

    Returns its number. Raises InputError when it does not fit its kind, or names another study's
    result.
    """
    data = checked(correction.kind, correction.data)
    if (correction.kind == "mask") != (correction.blob is not None):
        raise InputError("A corrected mask comes as a file, and nothing else does.")
    size = store.blobs.path(correction.blob).stat().st_size if correction.blob else 0
    with store.session() as session:
        if session.get(Study, correction.study_id) is None:
            raise InputError("There is no such study.")
        if correction.result_id is not None:
            of = select(Result.study_id).where(Result.id == correction.result_id)
            if session.scalar(of) != correction.study_id:
                raise InputError("The study has no such result.")
        elif correction.kind not in ("comment", "label"):
            raise InputError("Say which result the correction is of.")
        if correction.blob:
            insert_new(session, Blob, {"sha256": correction.blob, "bytes": size}, "sha256")
        row = schema.Correction(
            study_id=correction.study_id,
            result_id=correction.result_id,
            who=clean_text(correction.who),
            when=now or utc_now(),
            kind=correction.kind,
            data=data,
            blob=correction.blob,
        )
        session.add(row)
        session.flush()
        refresh_reviewed(session, correction.study_id)
        return row.id


def of_study(store: Store, study_id: str) -> list[schema.Correction]:
    """The corrections of a study, oldest first."""
    with store.reading() as session:
        statement = select(schema.Correction).where(schema.Correction.study_id == study_id)
        return list(session.scalars(statement.order_by(schema.Correction.id)))


def export(store: Store, out: Path) -> Exported:
    """The corrections as a case table: `label_export.export`."""
    from radloop.service.store import label_export

    return label_export.export(store, out)


def checked(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a correction, nothing but what its kind has. Raises InputError."""
    if kind == "agree":
        return {}
    if kind == "comment":
        text = str(data.get("text") or "").replace("\0", "").strip()[:_LONGEST]
        return {"text": text} if text else _wrong("A comment needs a text.")
    if kind == "label":
        labels = data.get("labels")
        if not isinstance(labels, dict) or not 0 < len(labels) <= _MOST:
            return _wrong("A corrected label names findings, each true, false or null.")
        for name, value in labels.items():
            _check_name(name)
            if value not in (True, False, None) or isinstance(value, int | float) != (
                isinstance(value, bool)
            ):
                return _wrong("A label is true, false or null.")
        return {"labels": dict(labels)}
    if kind == "box":
        boxes = data.get("boxes")
        if not isinstance(boxes, list) or len(boxes) > _MOST:
            return _wrong("Corrected boxes are a list.")
        return {"boxes": [_box(one) for one in boxes]}
    if kind == "tooth":
        number, new = str(data.get("from") or ""), data.get("to")
        if not _TOOTH.fullmatch(number) or (new is not None and not _TOOTH.fullmatch(str(new))):
            return _wrong("A tooth has a number by ISO 3950, such as 16.")
        return {"from": number, "to": None if new is None else str(new)}
    if kind == "mask":
        labels, suffix = data.get("labels"), data.get("suffix")
        if not isinstance(labels, dict) or not labels or suffix not in (".png", ".nii.gz"):
            return _wrong("A corrected mask says what its values mean, and is PNG or NIfTI.")
        for name, value in labels.items():
            _check_name(name)
            if not isinstance(value, int) or not 0 < value < 256:
                return _wrong("The values of a mask lie between 1 and 255.")
        return {"labels": dict(labels), "suffix": suffix}
    raise InputError(f"There is no correction '{kind[:20]}'.", f"Known: {', '.join(KINDS)}.")


def _box(one: Any) -> dict[str, Any]:
    corners = one.get("box") if isinstance(one, dict) else None
    if not isinstance(corners, list) or len(corners) != 4:
        return _wrong("A box is four numbers, x0, y0, x1, y1.")
    if not all(
        isinstance(c, int | float) and not isinstance(c, bool) and math.isfinite(c) for c in corners
    ):
        return _wrong("A box is four numbers, x0, y0, x1, y1.")
    x0, y0, x1, y1 = (float(c) for c in corners)
    if not (0 <= x0 < x1 and 0 <= y0 < y1):
        return _wrong("A box starts left of and above where it ends, on the film.")
    name = str(one.get("name") or "")
    _check_name(name)
    return {"box": [x0, y0, x1, y1], "name": name}


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        _wrong("A name has letters, digits and '.', '-', '_', ':', at most 64.")


def _wrong(what: str) -> dict[str, Any]:
    raise InputError(what)
