"""Where DICOMweb stops listening."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MEGABYTE = 1 << 20


class DicomWebOptions(BaseModel):
    """Limits of the server. request_bytes and parts: of one STOW request. object_bytes: of one
    part. answers: of one QIDO request. answer_bytes: of one answer of WADO that is not streamed.
    frame_pixels: of a frame that is decoded or rendered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_bytes: Annotated[int, Field(ge=1024)] = 2048 * MEGABYTE
    parts: Annotated[int, Field(ge=1)] = 5000
    object_bytes: Annotated[int, Field(ge=1024)] = 1024 * MEGABYTE
    answers: Annotated[int, Field(ge=1)] = 1000
    frame_pixels: Annotated[int, Field(ge=1)] = 100_000_000
