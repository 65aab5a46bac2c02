"""QIDO-RS: parameters to conditions, rows to DICOM JSON.

Values are bound, never put into a statement; `*` and `?` become the database's wildcards, and what
would be a wildcard to the database only is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, select, true

from radloop.errors import InputError
from radloop.service.store.database import Store
from radloop.service.store.schema import Instance, Series, Study

Level = Literal["studies", "series", "instances"]
_UID = re.compile(r"[0-9.]{1,64}")
_DATE = re.compile(r"(\d{8})?-?(\d{8})?")

# keyword -> (tag, VR, column); the columns of the levels above belong to a level, too
_STUDY: dict[str, tuple[str, str, Any]] = {
    "StudyInstanceUID": ("0020000D", "UI", Study.study_uid),
    "StudyDate": ("00080020", "DA", Study.study_date),
    "AccessionNumber": ("00080050", "SH", Study.accession),
    "PatientName": ("00100010", "PN", Study.patient_name),
    "PatientID": ("00100020", "LO", Study.patient_id),
    "PatientSex": ("00100040", "CS", Study.patient_sex),
    "StudyDescription": ("00081030", "LO", Study.description),
    "ModalitiesInStudy": ("00080061", "CS", Study.modality),
}
_SERIES: dict[str, tuple[str, str, Any]] = {
    "Modality": ("00080060", "CS", Series.modality),
    "SeriesInstanceUID": ("0020000E", "UI", Series.series_uid),
    "SeriesDescription": ("0008103E", "LO", Series.description),
    "BodyPartExamined": ("00180015", "CS", Series.body_part),
    "Manufacturer": ("00080070", "LO", Series.manufacturer),
}
_INSTANCE: dict[str, tuple[str, str, Any]] = {
    "SOPClassUID": ("00080016", "UI", Instance.sop_class),
    "SOPInstanceUID": ("00080018", "UI", Instance.sop_uid),
    "InstanceNumber": ("00200013", "IS", Instance.number),
    "AvailableTransferSyntaxUID": ("00083002", "UI", Instance.transfer_syntax),
}
COLUMNS: dict[Level, dict[str, tuple[str, str, Any]]] = {
    "studies": _STUDY,
    "series": _STUDY | _SERIES,
    "instances": _STUDY | _SERIES | _INSTANCE,
}
_IGNORED = {"includefield", "fuzzymatching", "limit", "offset"}


class QueryError(InputError):
    """A query that is not understood."""


@dataclass(frozen=True)
class Query:
    """What is asked for: at most `limit` of `level` from `offset`, keyword -> value."""

    level: Level
    match: Mapping[str, str]
    limit: int
    offset: int = 0


def parse(level: Level, parameters: list[tuple[str, str]], most: int, **fixed: str) -> Query:
    """The query of a request. fixed: UIDs of its path. Raises QueryError."""
    match: dict[str, str] = {}
    numbers = {"limit": most, "offset": 0}
    by_tag = {tag: keyword for keyword, (tag, _, _) in COLUMNS[level].items()}
    for name, value in parameters:
        keyword = by_tag.get(name.upper(), name)
        if keyword in numbers:
            if not value.isascii() or not value.isdecimal() or len(value) > 9:
                raise QueryError(f"'{keyword}' is not a number.")
            numbers[keyword] = int(value)
        elif keyword in COLUMNS[level]:
            match[keyword] = value
        elif keyword not in _IGNORED:
            raise QueryError("The query asks for an attribute that is not searched here.")
    for keyword, value in fixed.items():
        match[keyword] = value
    for keyword, value in match.items():
        _check(keyword, COLUMNS[level][keyword][1], value)
    return Query(level, match, min(numbers["limit"], most), numbers["offset"])


def run(store: Store, query: Query, sites: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    """The answers as DICOM JSON (PS3.18 F.2), newest study first.

    sites: whose studies may be seen, None for all. Raises StoreError.
    """
    columns = COLUMNS[query.level]
    statement = select(*(column.label(keyword) for keyword, (_, _, column) in columns.items()))
    statement = statement.select_from(Study)
    if query.level != "studies":
        statement = statement.join(Series, Series.study_id == Study.id)
    if query.level == "instances":
        statement = statement.join(Instance, Instance.series_id == Series.id)
    for keyword, value in query.match.items():
        statement = statement.where(_condition(columns[keyword][1], columns[keyword][2], value))
    if sites is not None:
        statement = statement.where(Study.site.in_(sites))
    order = {
        "studies": (Study.received_at.desc(), Study.id),
        "series": (Study.received_at.desc(), Series.id),
        "instances": (Study.received_at.desc(), Series.id, Instance.number, Instance.id),
    }[query.level]
    statement = statement.order_by(*order).limit(query.limit).offset(query.offset)
    with store.reading() as session:
        return [_json(columns, row._mapping) for row in session.execute(statement)]


def _check(keyword: str, vr: str, value: str) -> None:
    if len(value) > 1024 or "\0" in value:
        raise QueryError(f"The value for {keyword} is not one.")
    if vr == "UI" and not all(_UID.fullmatch(uid) for uid in re.split(r"[\\,]", value)):
        raise QueryError(f"{keyword} is not a UID.")
    if vr == "DA" and value not in ("", "*") and not _DATE.fullmatch(value):
        raise QueryError(f"{keyword} is neither a date nor a range of dates.")
    if vr == "IS" and not re.fullmatch(r"[+-]?\d{1,9}", value):
        raise QueryError(f"{keyword} is not a number.")


def _condition(vr: str, column: Any, value: str) -> ColumnElement[bool]:
    """Matching as in PS3.4 C.2.2.2: single value, list of UIDs, range of dates, wildcards."""
    if value in ("", "*"):
        return true()  # universal matching
    if vr == "UI":
        return _typed(column.in_(re.split(r"[\\,]", value)))
    if vr == "IS":
        return _typed(column == int(value))
    if vr == "DA" and "-" in value:
        first, _, last = value.partition("-")
        return _typed(column.between(first or "00000000", last or "99999999"))
    if column is Study.modality:  # "CT/SR": several in one text
        return _typed(("/" + column + "/").like(f"%/{_pattern(value)}/%", escape="\\"))
    text = func.lower(column)
    if "*" in value or "?" in value:
        return _typed(text.like(_pattern(value.lower()), escape="\\"))
    return _typed(text == value.lower())


def _typed(condition: Any) -> ColumnElement[bool]:
    """The condition, typed."""
    typed: ColumnElement[bool] = condition
    return typed


def _pattern(value: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", value)
    return escaped.replace("*", "%").replace("?", "_")


def _json(columns: dict[str, tuple[str, str, Any]], row: Mapping[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for keyword, (tag, vr, _) in columns.items():
        value = row[keyword]
        answer[tag] = {"vr": vr}
        if value in (None, ""):
            continue
        if keyword == "ModalitiesInStudy":
            answer[tag]["Value"] = str(value).split("/")
        elif vr == "PN":
            answer[tag]["Value"] = [{"Alphabetic": value}]
        else:
            answer[tag]["Value"] = [value]
    return answer
