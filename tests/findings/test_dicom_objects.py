"""Findings as DICOM objects: what goes in comes out of other readers, on the same tissue."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import highdicom as hd
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_films import dicom_dataset, noise
from made_series import Made, write_series
from made_series import uid as made_series_uid
from pydicom.dataset import Dataset
from samples import MODEL, refused_film

from radloop.errors import InputError
from radloop.findings.codes import TABLE, code
from radloop.findings.dicom.evidence import box_of, chest_lines, read_masks
from radloop.findings.dicom.marks import SourceError, is_ours, made_uid
from radloop.findings.dicom.objects import KINDS, make_objects, objects_of
from radloop.findings.dicom.sources import Place, read_sources
from radloop.findings.finding import Code, Finding, Measurement, Prediction
from radloop.findings.tooth_codes import tooth_code
from radloop.images.nifti import write_nifti
from radloop.images.segmentation import read_segmentation
from radloop.images.verdict import warned
from radloop.images.volumes.read import read_volume
from radloop.images.write import write_jpeg, write_png

RATIO = Measurement("cardiothoracic_ratio", 0.5, "1", 0.45, 0.6)
HEART = Finding("cardiomegaly", code("cardiomegaly"), 0.91, True, 0.5, {"mask": "heart"}, RATIO)
STRUCTURES = ("heart", "left_lung", "right_lung")


def chest_labels() -> np.ndarray:
    """On 40 x 56: heart over columns 20-35, lungs over columns 10-49."""
    labels = np.zeros((40, 56), np.uint8)
    labels[5:35, 10:20], labels[5:35, 36:50], labels[20:30, 20:36] = 3, 2, 1
    return labels


def chest(tmp_path: Path, **changes: Any) -> tuple[Prediction, Path, Path]:
    """A prediction of a chest film, its folder, and the film."""
    dataset = dicom_dataset(tmp_path)
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260102", "101500", "7"
    dataset.PatientName, dataset.SpecificCharacterSet = "Müller^Özgür", "ISO_IR 100"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(tmp_path / "film.dcm")
    folder = tmp_path / "out"
    write_png(folder / "masks/film.png", chest_labels())
    write_jpeg(folder / "pictures/film.jpg", np.full((60, 80, 3), 90, np.uint8))
    numbers = {"background": 0} | {s: k for k, s in enumerate(STRUCTURES, start=1)}
    (folder / "labels.json").write_text(json.dumps(numbers))
    files = {"mask": "masks/film.png", "picture": "pictures/film.jpg"}
    verdict = warned("grey_zone", "A reader should measure it.")
    prediction = Prediction("film", "p", "cardiomegaly", MODEL, verdict, (HEART,), files)
    return prediction, folder, tmp_path / "film.dcm"


def scan(tmp_path: Path, turn: tuple[float, float, float] = (25, -10, 40)) -> tuple[Any, ...]:
    """A prediction of a turned CT with a lesion, its folder, the files and how they were made."""

    def edit(dataset: Dataset, k: int) -> None:
        dataset.FrameOfReferenceUID = made_series_uid("frame")
        dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260102", "101500", "7"

    made = Made(turn=turn)
    write_series(tmp_path / "scan", made, edit)
    image = read_volume(tmp_path / "scan").image
    assert image is not None
    labels = np.zeros(image.array.shape, np.uint8)
    labels[1:3, 2:6, 3:9] = 1
    folder = tmp_path / "out"
    write_nifti(labels, image.geometry, folder / "masks/scan.nii.gz")
    lesion = code("stroke_lesion")
    findings = (
        Finding("stroke_lesion", lesion, 0.8, True, 0.4, {"mask": "lesion", "side": "left"},
                Measurement("total_lesion_volume", 1.25, "ml")),
        Finding("stroke_lesion", lesion, 0.8, True, 0.4,
                {"mask": "lesion", "side": "left", "slice": 2},
                Measurement("lesion_volume", 1.25, "ml")),
    )  # fmt: skip
    files = {"mask": "masks/scan.nii.gz"}
    prediction = Prediction("scan", "p", "stroke", MODEL, findings=findings, files=files)
    return prediction, folder, sorted((tmp_path / "scan").iterdir()), made


def read(objects: list[Any]) -> dict[str, Dataset]:
    return {
        o.kind: pydicom.dcmread(pydicom.filebase.DicomBytesIO(o.dataset_bytes)) for o in objects
    }


def items(dataset: Dataset, kind: str, name: str) -> list[Dataset]:
    """The content items of a value type and a concept's meaning, walked by hand."""
    found = []
    for item in dataset.get("ContentSequence", []):
        names = item.get("ConceptNameCodeSequence")
        if item.ValueType == kind and names and names[0].CodeMeaning == name:
            found.append(item)
        found += items(item, kind, name)
    return found


def number(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


# --- the report -----------------------------------------------------------------------------------


def test_a_report_holds_what_the_model_said(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path)
    report = read(objects_of(prediction, folder, [film], key="k"))["sr"]
    assert report.SOPClassUID == pydicom.uid.Comprehensive3DSRStorage
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert report.PreliminaryFlag == "PRELIMINARY"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    (ratio,) = items(report, "NUM", "Cardiothoracic ratio of widest transverse diameters")
    assert number(ratio) == 0.5
    assert ratio.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "1"
    (upper,) = items(ratio, "NUM", "+, range of upper measurement uncertainty")
    (lower,) = items(ratio, "NUM", "-, range of lower measurement uncertainty")
    assert number(upper) == pytest.approx(0.1)
    assert number(lower) == pytest.approx(0.05)
    assert [number(i) for i in items(report, "NUM", "Probability")] == [0.91]
    assert [number(i) for i in items(report, "NUM", "Threshold of the model")] == [0.5]
    (result,) = items(report, "CODE", "Result of the model at its threshold")
    assert result.ConceptCodeSequence[0].CodeValue == "10828004"
    findings = [i.ConceptCodeSequence[0].CodeValue for i in items(report, "CODE", "Finding")]
    assert findings == ["READING", "CARDIOMEGALY", "CARDIOMEGALY"]
    serial = items(report, "TEXT", "Device Observer Serial Number")[0].TextValue
    assert serial == MODEL.sha256 == report.DeviceSerialNumber
    comments = [i.TextValue for i in items(report, "TEXT", "Comment")]
    assert comments[0] == "A reader should measure it."
    assert comments[1].startswith("Research use only")
    (said,) = items(report, "CODE", "Verdict on the input")
    assert said.ConceptCodeSequence[0].CodeValue == "WARNED"


def test_highdicom_reads_its_groups_back(tmp_path: Path) -> None:
    prediction, folder, files, _ = scan(tmp_path)
    made = read(objects_of(prediction, folder, files, key="k", structures=("lesion",)))
    report = hd.sr.Comprehensive3DSR.from_dataset(made["sr"])
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 1
    named = Code2("LESION-VOLUME", "99RADLOOP", "Volume of all lesions together")
    (volume,) = groups[0].get_measurements(name=named)
    assert (volume.value, volume.unit.value) == (1.25, "ml")
    site = groups[0].finding_sites[0]
    assert (site.topographical_modifier, site.value.meaning) == (None, "Brain")
    assert site.laterality.meaning == "Left"
    segment = items(made["sr"], "IMAGE", "Referenced Segment")[0].ReferencedSOPSequence[0]
    assert segment.ReferencedSegmentNumber == 1
    assert segment.ReferencedSOPInstanceUID == made["seg"].SOPInstanceUID
    (one,) = [
        g
        for g in report.content.get_image_measurement_groups()
        if g.tracking_identifier == "stroke_lesion 2"
    ]
    read_from = one.source_images[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert read_from == read_sources(files).places[2].dataset.SOPInstanceUID


def test_a_box_is_a_region_on_its_image(tmp_path: Path) -> None:
    _, folder, film = chest(tmp_path)
    where = {"tooth": "46", "tooth_code": vars(tooth_code("46")), "box": [3.0, 4.5, 20.0, 90.0]}
    finding = Finding("caries", code("caries"), 0.7, True, 0.5, where)
    prediction = Prediction("film", "p", "teeth", MODEL, findings=(finding,))
    made = read(objects_of(prediction, folder, [film], key="k", kinds=("sr", "gsps")))
    (region,) = items(made["sr"], "SCOORD", "Image Region")
    corners = np.reshape(region.GraphicData, (-1, 2)).tolist()
    closed = [[3, 4.5], [20, 4.5], [20, 40], [3, 40], [3, 4.5]]  # cut to the film's 40 rows
    assert corners == closed
    source = region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert source == pydicom.dcmread(film).SOPInstanceUID
    (site,) = items(made["sr"], "CODE", "Finding Site")
    assert site.ConceptCodeSequence[0].CodeValue == "866005003"
    (annotation,) = made["gsps"].GraphicAnnotationSequence
    drawn = np.reshape(annotation.GraphicObjectSequence[0].GraphicData, (-1, 2)).tolist()
    assert drawn == closed
    assert annotation.GraphicObjectSequence[0].GraphicAnnotationUnits == "PIXEL"
    texts = [text.UnformattedTextValue for text in annotation.TextObjectSequence]
    assert any("Dental caries 46 0.70" in text for text in texts)
    assert any("Research use only" in text for text in texts)


def test_a_refused_case_has_a_report_and_nothing_else(tmp_path: Path) -> None:
    _, folder, film = chest(tmp_path)
    made = make_objects(refused_film("film"), folder, [film], key="k")
    assert [o.kind for o in made.objects] == ["sr"]
    assert set(made.left_out) == {"seg", "gsps", "sc"}
    report = read(list(made.objects))["sr"]
    (said,) = items(report, "CODE", "Verdict on the input")
    assert said.ConceptCodeSequence[0].CodeValue == "REFUSED"
    assert "lateral" in items(report, "TEXT", "Comment")[0].TextValue
    assert items(report, "NUM", "Probability") == []


def test_a_new_revision_names_the_one_before(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path)
    first = read(objects_of(prediction, folder, [film], key="r1", kinds=("sr",)))["sr"]
    made = make_objects(prediction, folder, [film], key="r2", kinds=("sr",), previous=[first])
    second = read(list(made.objects))["sr"]
    study = second.PredecessorDocumentsSequence[0]
    referenced = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert referenced.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.SOPInstanceUID != first.SOPInstanceUID


def test_the_procedure_is_the_one_that_the_source_states(tmp_path: Path) -> None:
    stated = Dataset()
    stated.CodeValue, stated.CodingSchemeDesignator = "XCHEST", "99HOSPITAL"
    stated.CodeMeaning = "Chest film"
    prediction, folder, film = chest(tmp_path, ProcedureCodeSequence=[stated])
    report = read(objects_of(prediction, folder, [film], key="k", kinds=("sr",)))["sr"]
    (said,) = items(report, "CODE", "Procedure reported")
    assert said.ConceptCodeSequence[0].CodeValue == "XCHEST"


def test_every_code_is_of_the_reviewed_table_or_of_the_templates(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path)
    report = read(objects_of(prediction, folder, [film], key="k"))["sr"]
    reviewed = {(row.code.value, row.code.scheme) for row in TABLE.values()}
    used = set()

    def collect(dataset: Dataset) -> None:
        for element in dataset:
            if element.VR == "SQ":
                for item in element.value:
                    if "CodeValue" in item and element.keyword == "ConceptCodeSequence":
                        used.add((item.CodeValue, item.CodingSchemeDesignator))
                    collect(item)

    collect(report)
    of_the_templates = {
        ("en", "RFC5646"), ("121007", "DCM"), ("123110", "DCM"), ("126000", "DCM"),
    }  # fmt: skip
    assert used - reviewed - of_the_templates == set()


# --- masks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [(0, 0, 0), (25, -10, 40)])
def test_a_mask_lands_on_the_same_millimetres(tmp_path: Path, turn: Any) -> None:
    prediction, folder, files, made = scan(tmp_path, turn)
    objects = objects_of(prediction, folder, files, key="k", structures=("lesion",))
    (seg,) = [o for o in objects if o.kind == "seg"]
    path = tmp_path / "seg.dcm"
    path.write_bytes(seg.dataset_bytes)
    back = read_segmentation(path)  # what `radloop import dicom` reads
    assert (back.verdict.status, back.names) == ("accepted", ("lesion",))
    assert back.series_uid == str(made_series_uid("series", "a"))
    true = np.concatenate([made.points(k)[2:6, 3:9].reshape(-1, 3) for k in (1, 2)])
    dataset = pydicom.dcmread(path)  # the frames' millimetres by hand
    turned = dataset.SharedFunctionalGroupsSequence[0]
    x, y = np.reshape(turned.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3))
    down, right = turned.PixelMeasuresSequence[0].PixelSpacing
    points = []
    for frame, plane in zip(
        dataset.pixel_array, dataset.PerFrameFunctionalGroupsSequence, strict=True
    ):
        origin = np.array(plane.PlanePositionSequence[0].ImagePositionPatient, float)
        points += [origin + r * down * y + c * right * x for r, c in np.argwhere(frame)]
    np.testing.assert_allclose(np.sort(points, axis=0), np.sort(true, axis=0), atol=1e-3)


def test_a_films_mask_lies_on_its_pixels(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path)
    seg = read(objects_of(prediction, folder, [film], key="k"))["seg"]
    assert "FrameOfReferenceUID" not in seg or not seg.FrameOfReferenceUID
    labels = chest_labels()
    assert [s.SegmentLabel for s in seg.SegmentSequence] == list(STRUCTURES)
    for k, frame in enumerate(seg.PerFrameFunctionalGroupsSequence):
        value = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        np.testing.assert_array_equal(seg.pixel_array[k], labels == value)
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == pydicom.dcmread(film).SOPInstanceUID


def test_a_films_segmentation_is_no_volume_to_import(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path)
    (seg,) = objects_of(prediction, folder, [film], key="k", kinds=("seg",))
    (tmp_path / "seg.dcm").write_bytes(seg.dataset_bytes)
    assert read_segmentation(tmp_path / "seg.dcm").verdict.code == "no_position"


def test_segmentations_of_other_styles(tmp_path: Path) -> None:
    """A label map (PS3.3 A.51, 2024), and segments that overlap, as other programs write them."""
    _, _, files, _ = scan(tmp_path, (0, 0, 0))
    sources = [place.dataset for place in read_sources(files).places]
    labels = np.zeros((len(files), sources[0].Rows, sources[0].Columns), np.uint8)
    labels[1:3, 2:6, 3:9], labels[1:3, 6:8, 3:9] = 1, 2
    described = [
        hd.seg.SegmentDescription(
            k, name, Code2("49755003", "SCT", "Morphologically Abnormal Structure"),
            Code2("85756007", "SCT", "Tissue"), "MANUAL",
        )
        for k, name in ((1, "core"), (2, "edge"))
    ]  # fmt: skip

    def written(kind: str, array: np.ndarray) -> Any:
        made = hd.seg.Segmentation(
            sources, array, kind, described, hd.UID(), 1, hd.UID(), 1, "Other", "M", "1", "1"
        )
        made.save_as(tmp_path / "other.dcm")
        return read_segmentation(tmp_path / "other.dcm")

    back = written("LABELMAP", labels)
    assert back.verdict.status == "accepted", back.verdict
    assert back.names == ("core", "edge")
    assert [int((back.labels == k).sum()) for k in (1, 2)] == [48, 24]
    both = np.stack([labels > 0, labels == 2], axis=-1)
    assert written("BINARY", both.astype(np.uint8)).verdict.code == "overlapping_segments"


def Code2(*parts: str) -> Any:  # noqa: N802
    return hd.sr.CodedConcept(*parts)


def test_the_lines_of_the_ratio_are_those_of_the_masks() -> None:
    lines = chest_lines(chest_labels(), STRUCTURES)
    (right, left), (thorax,) = lines["heart"], lines["thorax"]
    # The heart from edge 20 to 36, the lungs from 10 to 50: the midline at 30.
    assert [right.points[0][0], right.points[1][0]] == [20, 30]
    assert [left.points[0][0], left.points[1][0]] == [30, 36]
    assert [thorax.points[0][0], thorax.points[1][0]] == [10, 50]
    assert right.points[0][1] == 25  # the middle of rows 20 to 29
    assert chest_lines(chest_labels(), ("heart",)) == {}
    assert chest_lines(np.zeros((9, 9), np.uint8), STRUCTURES) == {}


# --- picture and state ----------------------------------------------------------------------------


def test_the_picture_says_what_it_is(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path)
    capture = read(objects_of(prediction, folder, [film], key="k"))["sc"]
    assert (capture.BurnedInAnnotation, capture.LossyImageCompression) == ("YES", "01")
    assert capture.PhotometricInterpretation == "RGB"
    assert "PixelSpacing" not in capture
    drawn = cv2.imread(str(folder / "pictures/film.jpg"))[..., ::-1]
    np.testing.assert_array_equal(capture.pixel_array[:60], drawn)
    assert capture.Rows > 60  # the strip below says "research use only"
    source = capture.SourceImageSequence[0].ReferencedSOPInstanceUID
    assert source == pydicom.dcmread(film).SOPInstanceUID


@pytest.mark.parametrize(
    ("kind", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")]
)
def test_a_state_shows_the_film_with_its_own_polarity(
    tmp_path: Path, kind: str, shape: str
) -> None:
    prediction, folder, film = chest(tmp_path, PhotometricInterpretation=kind, WindowCenter="9")
    film_set = pydicom.dcmread(film)
    film_set.WindowWidth = "40"
    state = read(objects_of(prediction, folder, [film_set], key="k", kinds=("gsps",)))["gsps"]
    assert state.PresentationLUTShape == shape
    assert state.SoftcopyVOILUTSequence[0].WindowCenter == 9
    assert state.SoftcopyVOILUTSequence[0].WindowWidth == 40


def test_a_colour_source_has_no_grayscale_state(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path, PhotometricInterpretation="RGB")
    made = make_objects(prediction, folder, [film], key="k", kinds=("gsps",))
    assert made.objects == ()
    assert "colour" in made.left_out["gsps"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(-100, 200), min_size=4, max_size=4))
def test_boxes_stay_on_the_image(box: list[float]) -> None:
    header = Dataset()
    header.Rows, header.Columns = 40, 56
    cut = box_of(Finding("a", Code("A", "B", "C"), 0.5, True, 0.5, {"box": box}), Place(header))
    meets = min(box[2], 56) > max(box[0], 0) and min(box[3], 40) > max(box[1], 0)
    assert (cut is not None) == meets
    if cut is not None:
        x0, y0, x1, y1 = cut
        assert 0 <= x0 < x1 <= 56
        assert 0 <= y0 < y1 <= 40


# --- what all have ------------------------------------------------------------------------------


def test_objects_belong_to_the_patients_study_and_to_us(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path)
    source = pydicom.dcmread(film)
    made = read(objects_of(prediction, folder, [film], key="k"))
    assert tuple(made) == KINDS
    for kind, one in made.items():
        assert one.StudyInstanceUID == source.StudyInstanceUID
        assert (str(one.PatientName), one.PatientID) == ("Müller^Özgür", "SECRET-17")
        assert one.SpecificCharacterSet == "ISO_IR 192"
        assert (one.StudyDate, one.StudyID) == ("20260102", "7")
        assert one.SeriesInstanceUID != source.SeriesInstanceUID
        assert one.Manufacturer == "Radloop"
        assert "research only" in one.SeriesDescription
        assert one.SOPInstanceUID.startswith("2.25.")
        assert len(one.SOPInstanceUID) <= 64
        block = one.private_block(0x0075, "RADLOOP FINDINGS 1")
        assert block[0x01].value == kind.upper()
        assert block[0x03].value == MODEL.sha256
        assert is_ours(one)
        del one[0x0075, 0x0010]
        assert is_ours(one), "known without its private block"
    assert len({one.SeriesInstanceUID for one in made.values()}) == len(KINDS)
    assert not is_ours(source), "a film that Radloop wrote is an image"


def test_the_same_key_gives_the_same_uids(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path)
    first, again, other = (
        [o.sop_uid for o in objects_of(prediction, folder, [film], key=key)]
        for key in ("a", "a", "b")
    )
    assert first == again
    assert set(first).isdisjoint(other)
    assert made_uid("a", "sr/instance") == first[0]
    with pytest.raises(ValueError, match="key"):
        objects_of(prediction, folder, [film], key="")


def test_bare_sources_are_enough(tmp_path: Path) -> None:
    """A header with no more than its identifiers and size, as de-identified files may be."""
    prediction, folder, film = chest(tmp_path)
    full = pydicom.dcmread(film)
    bare = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
                    "Rows", "Columns", "Modality", "PhotometricInterpretation",
                    "BitsAllocated", "BitsStored", "SamplesPerPixel"):  # fmt: skip
        setattr(bare, keyword, full.get(keyword))
    before = bare.to_json()
    made = make_objects(prediction, folder, [bare], key="k")
    assert {o.kind for o in made.objects} == set(KINDS), made.left_out
    assert bare.to_json() == before, "the source is not changed"


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda p, d: (p, []), "No source"),
        (lambda p, d: (p, [d / "masks/film.png"]), "no DICOM file"),
        (lambda p, d: (p, [d / "nothing.dcm"]), "cannot be read"),
        (lambda p, d: (p, [Dataset()]), "lacks SOPClassUID"),
    ],
)
def test_what_is_no_source_is_said(tmp_path: Path, edit: Any, says: str) -> None:
    prediction, folder, _ = chest(tmp_path)
    prediction, sources = edit(prediction, folder)
    with pytest.raises(SourceError, match=says):
        objects_of(prediction, folder, sources, key="k")


def test_sources_of_two_patients_or_of_ours_are_refused(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path)
    other = pydicom.dcmread(film)
    other.PatientID, other.SOPInstanceUID = "someone else", "1.2.3"
    with pytest.raises(SourceError, match="several patients") as caught:
        objects_of(prediction, folder, [film, other], key="k")
    assert "SECRET-17" not in str(caught.value)
    ours = read(objects_of(prediction, folder, [film], key="k"))["sc"]
    with pytest.raises(SourceError, match="made by Radloop"):
        objects_of(prediction, folder, [ours], key="k")


def test_masks_that_do_not_fit_are_errors(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path)
    sources = read_sources([film])
    with pytest.raises(InputError, match="2 structures are named"):
        read_masks(prediction, folder, sources, ("heart", "left_lung"))
    write_png(folder / "masks/film.png", noise(8, 8, 3).astype(np.uint8))
    with pytest.raises(SourceError, match="8 x 8 px"):
        objects_of(prediction, folder, [film], key="k")
    (folder / "masks/film.png").unlink()
    with pytest.raises(InputError, match="missing"):
        objects_of(prediction, folder, [film], key="k")
    (folder / "labels.json").unlink()
    write_png(folder / "masks/film.png", chest_labels())
    with pytest.raises(InputError, match=r"labels\.json"):
        objects_of(prediction, folder, [film], key="k")


def test_more_errors(tmp_path: Path) -> None:
    prediction, folder, files, _ = scan(tmp_path)
    with pytest.raises(InputError, match="no kind 'pdf'"):
        objects_of(prediction, folder, files, key="k", kinds=("pdf",))
    with pytest.raises(SourceError, match="slice 2, but the source has"):
        objects_of(prediction, folder, files[:2], key="k", structures=("lesion",))
    (folder / "masks/scan.nii.gz").write_bytes(b"no")
    with pytest.raises(InputError, match=r"scan\.nii\.gz"):
        objects_of(prediction, folder, files, key="k", structures=("lesion",))


def test_an_empty_mask_and_a_missing_picture_are_left_out(tmp_path: Path) -> None:
    prediction, folder, film = chest(tmp_path)
    write_png(folder / "masks/film.png", np.zeros((40, 56), np.uint8))
    (folder / "pictures/film.jpg").unlink()
    made = make_objects(prediction, folder, [film], key="k", kinds=("sr", "seg"))
    assert [o.kind for o in made.objects] == ["sr"]
    assert "empty" in made.left_out["seg"]
    with pytest.raises(InputError, match=r"film\.jpg"):
        objects_of(prediction, folder, [film], key="k", kinds=("sc",))


# --- other programs -------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["film", "scan"])
def test_validators_find_no_error(tmp_path: Path, what: str) -> None:
    if shutil.which("dciodvfy") is None or shutil.which("dsrdump") is None:
        pytest.skip("dciodvfy (dicom3tools) or dsrdump (DCMTK) is not installed")
    if what == "film":
        prediction, folder, film = chest(tmp_path)
        sources: list[Any] = [film]
    else:
        prediction, folder, sources, _ = scan(tmp_path)
    for one in objects_of(
        prediction, folder, sources, key="k", structures=None if what == "film" else ("lesion",)
    ):
        path = tmp_path / one.name
        path.write_bytes(one.dataset_bytes)
        checked = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        errors = [line for line in checked.stderr.splitlines() if line.startswith("Error")]
        assert errors == [], one.kind
        if one.kind == "sr":
            shown = subprocess.run(["dsrdump", path], capture_output=True, text=True, check=False)
            assert shown.returncode == 0, shown.stderr
            assert '"Imaging Measurement Report"' in shown.stdout
            assert "E: " not in shown.stderr
