"""The audit as one HTML file for people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from radloop.cases.audit_report import AuditReport
from radloop.cases.audit_rules import LEVELS
from radloop.pages import data_uri, render


def page(report: AuditReport, sheet: npt.NDArray[np.uint8]) -> str:
    """The page, complete in itself; sheet: RGB `(y, x, 3)`, shown in it as JPEG."""
    return render(
        Path(__file__).with_name("audit_page.html"),
        report=report,
        counts={level: report.count(level) for level in LEVELS},
        sheet=data_uri(_jpeg(sheet)),
    )


def _jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])[1])
