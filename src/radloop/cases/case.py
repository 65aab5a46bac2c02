"""`Case`: one patient's images for one question; `Reference`: what is true of it, who said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Reference:
    """What is known of a case.

    labels: name -> True, False; an unknown label is absent. masks: structure -> mask file.
    values: name -> measured number. readers: (who, name) -> that reader's value. boxes: a COCO
    file. slices: a table of labels by slice.
    """

    labels: Mapping[str, bool] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    readers: Mapping[tuple[str, str], float] = field(default_factory=dict)
    boxes: Path | None = None
    slices: Path | None = None


@dataclass(frozen=True)
class Case:
    """One examination: its images by channel ("image" for the only one) and its reference.

    `patient_id` groups cases; `split` is "" when the table was not split.
    """

    case_id: str
    patient_id: str
    images: Mapping[str, Path]
    split: str = ""
    reference: Reference = field(default_factory=Reference)

    @property
    def image(self) -> Path:
        """The only image of a single-channel case."""
        return next(iter(self.images.values()))
