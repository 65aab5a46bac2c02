"""The presentation state (GSPS, PS3.3 A.33.1): boxes, measured lines and labels as vectors over
the source images, for viewers that show no segmentation and no report."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from radloop.findings.dicom import marks
from radloop.findings.dicom.evidence import (
    CARDIOTHORACIC,
    Masks,
    box_of,
    chest_lines,
    label_of,
    outline,
)
from radloop.findings.dicom.sources import Place, Sources
from radloop.findings.finding import Finding, Prediction

SERIES_NUMBER = 9603
_LAYER = "RADLOOP"
_LINE_HEIGHT = 0.03  # of the image's height, for one line of text


def presentation_state(
    prediction: Prediction, sources: Sources, *, key: str, masks: Masks | None = None
) -> Dataset:
    """The state over the images that have something to show: every box, the lines of the
    cardiothoracic ratio, the label of each positive finding, and "research use only".

    Outlines of masks are left to the segmentation. Raises NothingToWriteError for a prediction
    that was refused or has nothing to draw, SourceError for colour images, which a grayscale state
    cannot be laid on.
    """
    import highdicom as hd

    shown = _by_place(prediction, sources)
    if prediction.verdict.refused or not shown:
        raise marks.NothingToWriteError(
            "There is no finding to draw on an image.", "The report says what was found."
        )
    images = [sources.places[k].dataset for k in shown]
    kinds = {str(i.get("PhotometricInterpretation")) for i in images}
    if len(kinds) > 1 or not kinds <= {"MONOCHROME1", "MONOCHROME2"}:
        raise marks.SourceError(
            "A grayscale presentation state cannot be laid on colour images, or on mixed ones.",
            "Ask for the other objects.",
        )
    layer = hd.pr.GraphicLayer(_LAYER, order=1, description=marks.RESEARCH_ONLY[:64])
    uid = marks.uid_maker(key, "gsps")
    annotations = [
        _annotation(sources.places[k], layer, findings, masks, uid(f"tracking/{k}"))
        for k, findings in shown.items()
    ]
    made = hd.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=list({str(i.SOPInstanceUID): i for i in images}.values()),
        series_instance_uid=uid("series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid("instance"),
        instance_number=1,
        content_label="RADLOOP",
        content_description=marks.RESEARCH_ONLY[:64],
        graphic_annotations=annotations,
        graphic_layers=[layer],
        series_description=marks.series_description(prediction, "boxes and lines"),
        **marks.equipment(prediction),
    )
    # highdicom writes IDENTITY, with which a film whose larger values are darker is shown inverted.
    made.PresentationLUTShape = "INVERSE" if kinds == {"MONOCHROME1"} else "IDENTITY"
    for area in made.DisplayedAreaSelectionSequence:
        area.pop("PixelOriginInterpretation", None)  # of whole slide images alone
    if "Laterality" not in made:  # type 2C: of a paired body part, known or not
        made.Laterality = str(images[0].get("Laterality") or "")
    return marks.finish(made, prediction, "gsps", sources.first)


def _by_place(prediction: Prediction, sources: Sources) -> dict[int, list[Finding]]:
    """The findings to show, by the number of their slice: the positive ones with a place."""
    numbers = {id(place): k for k, place in enumerate(sources.places)}
    shown: dict[int, list[Finding]] = defaultdict(list)
    for finding in prediction.findings:
        place = sources.place(finding.where)
        if finding.positive and place is not None:
            shown[numbers[id(place)]].append(finding)
    return dict(sorted(shown.items()))


def _annotation(
    place: Place, layer: Any, findings: list[Finding], masks: Masks | None, uid: str
) -> Any:
    import highdicom as hd

    pixel = hd.pr.AnnotationUnitsValues.PIXEL
    rows, columns = place.size
    polylines, texts = [], [_text(marks.RESEARCH_ONLY, 0, rows - _step(rows), rows, columns)]
    free = 0.0  # where the next text without a box goes
    for finding in findings:
        box = box_of(finding, place)
        if box is not None:
            polylines.append(outline(box))
            texts.append(_text(label_of(finding), box[0], box[1] - _step(rows), rows, columns))
        else:
            texts.append(_text(label_of(finding), 0, free, rows, columns))
            free += _step(rows)
        measured = finding.measurement
        if measured is not None and measured.name == CARDIOTHORACIC and masks is not None:
            for lines in chest_lines(masks.labels[0], masks.names).values():
                for line in lines:
                    polylines.append(np.array(line.points))
                    x, y = line.points[0]
                    texts.append(_text(line.label, x, y - _step(rows), rows, columns))
    graphics = [
        hd.pr.GraphicObject(hd.pr.GraphicTypeValues.POLYLINE, np.clip(p, 0, (columns, rows)), pixel)
        for p in polylines
    ]
    return hd.pr.GraphicAnnotation(
        [place.dataset],
        layer,
        referenced_frame_number=place.frame,
        graphic_objects=graphics or None,
        text_objects=texts,
    )


def _step(rows: int) -> float:
    return max(rows * _LINE_HEIGHT, 1.0)


def _text(text: str, x: float, y: float, rows: int, columns: int) -> Any:
    """One line of text that begins at x, its upper edge at y, within the image."""
    import highdicom as hd

    step = _step(rows)
    top = float(np.clip(y, 0, max(rows - step, 0)))
    left = float(np.clip(x, 0, columns - 1))
    right = min(float(columns), left + max(0.5 * step * len(text), 2.0))
    return hd.pr.TextObject(
        text,
        hd.pr.AnnotationUnitsValues.PIXEL,
        bounding_box=(left, top, right, min(top + step, float(rows))),
        text_justification=hd.pr.TextJustificationValues.LEFT,
    )
