"""Which models read which series: a pure rule over what the headers say.

A route lets through what may be meant for the model; the system's own verdict has the last word,
so that a film with a wrong or missing header is refused by its look and not lost. What we made
ourselves is read by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from radloop.service.settings import Route
from radloop.service.store.facts import PICTURES, VOLUMES

Kind = Literal["dicom", "picture", "volume"]
FILM = ("CR", "DX", "DR", "RG", "XR")


@dataclass(frozen=True)
class SeriesFacts:
    """What a series says of itself. kind: a DICOM series, a picture file, or a NIfTI file."""

    kind: Kind = "dicom"
    modality: str = ""
    body_part: str = ""
    view: str = ""
    description: str = ""
    study_description: str = ""
    own: bool = False
    instances: int = 1


@dataclass(frozen=True)
class Reader:
    """A model as routing knows it. sha256: of its weights, a part of its jobs' keys."""

    name: str
    system: str
    sha256: str
    reads_scans: bool
    routes: tuple[Route, ...] = ()


def kind_of(sop_class: str, suffix: str) -> Kind:
    """The kind of a series by its first instance's class and transfer syntax (or suffix)."""
    if not sop_class and suffix in VOLUMES:
        return "volume"
    return "picture" if not sop_class and suffix in PICTURES else "dicom"


CHEST = ("CHEST*", "THORAX*", "LUNG*", "RIB*", "HEART*", "")
HEAD = ("HEAD*", "BRAIN*", "SKULL*", "CRANI*", "NEURO*", "")
_NOT_A_SCAN = (r"\b(scout|topogram|localizer|localiser|surview|dose report)\b",)
_LATERAL = (r"\blat(eral)?\b",)

DEFAULTS: Mapping[str, tuple[Route, ...]] = {
    "cardiomegaly": (
        Route(
            modality=FILM,
            body_part=CHEST,
            view=("PA", "AP", ""),
            not_description=(*_LATERAL, r"\b(abd|abdomen|knee|hand|wrist|foot|hip|pelvis|spine)\b"),
        ),
    ),
    "hemorrhage": (
        Route(
            modality=("CT",),
            body_part=HEAD,
            not_description=(
                *_NOT_A_SCAN,
                r"\b(cta|angio|perfusion|ctp|chest|thorax|abd|abdomen|pelvis|spine|neck|lung)\b",
            ),
        ),
    ),
    "stroke": (Route(modality=("MR",), body_part=HEAD),),
    "multiple_sclerosis": (Route(modality=("MR",), body_part=HEAD),),
    "teeth": (
        Route(modality=(*FILM, "PX", "IO"), body_part=("JAW*", "TEETH*", "TOOTH*", "DENTAL*")),
        Route(modality=("PX", "IO")),
    ),
    "hip_fracture": (Route(modality=FILM, body_part=("HIP*", "PELVIS*")),),
    "wrist_fracture": (Route(modality=FILM, body_part=("WRIST*", "HAND*", "FOREARM*")),),
}
"""Routes by system, for models whose settings give none. A system that is not here reads every
series of its kind: films, or scans."""


def route(series: SeriesFacts, readers: Iterable[Reader]) -> list[Reader]:
    """The models that read a series, in the order of `readers`."""
    return [reader for reader in readers if reads(reader, series)]


def reads(reader: Reader, series: SeriesFacts) -> bool:
    """Whether a model reads a series."""
    if series.own or series.instances == 0:
        return False
    if series.kind != "dicom":  # no header: the kind of file decides, and the system's verdict
        return reader.reads_scans == (series.kind == "volume")
    routes = reader.routes or DEFAULTS.get(reader.system, ())
    if not routes:
        return (series.modality in ("CT", "MR")) == reader.reads_scans and series.modality in (
            *FILM, "CT", "MR", "PX", "IO",
        )  # fmt: skip
    return any(matches(one, series) for one in routes)


def matches(wanted: Route, series: SeriesFacts) -> bool:
    """Whether a series fits a route: every condition that the route states."""
    texts = [series.description, series.study_description]
    return (
        _one_of(wanted.modality, series.modality)
        and _one_of(wanted.body_part, series.body_part)
        and _one_of(wanted.view, series.view)
        and (not wanted.description or _found(wanted.description, texts))
        and not _found(wanted.not_description, [series.description])
    )


def _one_of(patterns: Sequence[str], value: str) -> bool:
    if not patterns:
        return True
    value = value.casefold()
    return any(
        value.startswith(p[:-1]) if p.endswith("*") else value == p
        for p in (pattern.casefold() for pattern in patterns)
    )


def _found(patterns: Sequence[str], texts: Sequence[str]) -> bool:
    # "CT_HEAD-Topogram 0.6": separators of all kinds are spaces, so that \b means what it says
    plain = [re.sub(r"[_\W]+", " ", text).casefold() for text in texts]
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns for text in plain)
