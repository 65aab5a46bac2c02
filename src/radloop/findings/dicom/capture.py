"""The secondary capture: the picture with its evidence drawn in, for viewers that show only
pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from radloop.errors import InputError
from radloop.findings.dicom import marks
from radloop.findings.dicom.sources import Sources
from radloop.findings.finding import Prediction

SERIES_NUMBER = 9604
PICTURE = "picture"
_BAND = 0.035  # of the picture's height, for the words below it


def secondary_capture(
    prediction: Prediction, folder: Path, sources: Sources, *, key: str, picture: str = PICTURE
) -> Dataset:
    """The picture that `predict --pictures` drew, RGB, with "research use only" burned in below.

    picture: which entry of `files`. It says that its texts are burned in, that it is derived and
    was compressed once, and from which images it was made; it is not for measuring: it has no
    spacing. Raises NothingToWriteError without a picture, InputError for one that is unreadable.
    """
    import cv2
    import highdicom as hd

    if picture not in prediction.files:
        raise marks.NothingToWriteError(
            "There is no picture of this case.", "Predict with --pictures to have one."
        )
    path = folder / prediction.files[picture]
    drawn = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if drawn is None:
        raise InputError(f"The picture {path.name} is missing or unreadable.", "Predict again.")
    pixels = _with_words(np.ascontiguousarray(drawn[..., ::-1], np.uint8))
    uid = marks.uid_maker(key, f"sc/{picture}")
    first = sources.first
    made = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=first,
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=uid("series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid("instance"),
        instance_number=1,
        patient_orientation=("L", "F"),  # wanted by the constructor, emptied below
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        series_description=marks.series_description(prediction, "picture"),
        **marks.equipment(prediction),
    )
    made.PatientOrientation = ""  # type: ignore[assignment]
    made.Laterality = str(first.get("Laterality") or "")
    made.BurnedInAnnotation = "YES"
    made.RecognizableVisualFeatures = "NO"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.DerivationDescription = "Evidence drawn over the source by software"
    made.ImageComments = marks.RESEARCH_ONLY
    made.LossyImageCompression = "01"
    made.LossyImageCompressionMethod = "ISO_10918_1"
    made.LossyImageCompressionRatio = f"{max(pixels.size / path.stat().st_size, 1.0):.4g}"
    made.SourceImageSequence = [_reference(h) for h in sources.headers]
    return marks.finish(made, prediction, "sc", first)


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def _with_words(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The picture over a strip that says what it may be used for."""
    from radloop.findings.picture import caption_strip

    width = pixels.shape[1]
    strip = caption_strip(width, max(min(pixels.shape[:2]) / 1000, 0.35), [marks.RESEARCH_ONLY])
    return np.ascontiguousarray(np.vstack([pixels, strip]))
