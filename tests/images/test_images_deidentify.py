"""De-identification: nothing planted survives, references hold, and validators agree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_series import Made, put_pixels, save, slice_dataset, uid, write_series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage
from typer.testing import CliRunner

from radloop.cli.main import app
from radloop.errors import InputError
from radloop.images.deidentify.burned_in import text_rows
from radloop.images.deidentify.dataset import deidentify
from radloop.images.deidentify.folder import deidentify_folder
from radloop.images.deidentify.profile import Options
from radloop.images.deidentify.pseudonyms import Pseudonyms, pseudonyms_of

# pydicom warns of what these tests do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

KEY = Pseudonyms(b"0123456789abcdef")
SECRET = "Zyxw9Secret"
# Attributes of the basic profile's table, of every kind of action and representation.
LISTED = {
    "PatientName": "PN", "OtherPatientNames": "PN", "ReferringPhysicianName": "PN",
    "PatientAddress": "LO", "PatientComments": "LT", "InstitutionName": "LO", "StationName": "SH",
    "AccessionNumber": "SH", "OperatorsName": "PN", "StudyDescription": "LO", "ProtocolName": "LO",
    "ImageComments": "LT", "PatientBirthName": "PN", "RequestingPhysician": "PN",
    "DeviceSerialNumber": "LO", "AdditionalPatientHistory": "LT", "PatientID": "LO",
    "MilitaryRank": "LO", "Occupation": "SH", "PatientTelephoneNumbers": "SH",
    "PersonName": "PN", "TextString": "ST", "ScheduledPerformingPhysicianName": "PN",
}  # fmt: skip
NESTED = ["ReferencedImageSequence", "SourceImageSequence", "DerivationImageSequence"]
slow = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def image(k: int = 0) -> Dataset:
    dataset = slice_dataset(Made(), k)
    dataset.FrameOfReferenceUID = uid("frame")
    dataset.StudyDate, dataset.SeriesDate = "20240229", "20240301"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19310405", "F", "093Y"
    dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber = "101500", "7", "A7"
    return dataset


def bytes_of(dataset: Dataset, folder: Path) -> bytes:
    return save(dataset, folder / "written.dcm").read_bytes()


@slow
@given(st.data())
def test_nothing_planted_survives_at_any_depth(tmp_path, data):
    dataset = image()
    dataset.SpecificCharacterSet = data.draw(st.sampled_from(["ISO_IR 100", "ISO_IR 192"]))
    level = dataset
    for _ in range(data.draw(st.integers(0, 3))):
        item = Dataset()
        setattr(level, data.draw(st.sampled_from(NESTED)), Sequence([item]))
        level = item
    for keyword in data.draw(st.lists(st.sampled_from(sorted(LISTED)), min_size=1, max_size=6)):
        text = f"{SECRET}^Anna" if LISTED[keyword] == "PN" else f"x {SECRET} y"
        setattr(level, keyword, text[:16] if LISTED[keyword] == "SH" else text)
    kind = data.draw(st.sampled_from(["private", "unknown", "overlay", "un", "meta", "none"]))
    if kind == "private":
        level.private_block(0x0011, f"{SECRET} 1.0", create=True).add_new(1, "LO", SECRET)
    elif kind == "unknown":
        level.add_new(0x0008FFF0, "LO", SECRET)
    elif kind == "overlay":
        level.add_new(0x60000022, "LO", SECRET)
    elif kind == "un":
        level.add_new(0x00104001, "UN", SECRET.encode())
    elif kind == "meta":
        dataset.file_meta.SourceApplicationEntityTitle = SECRET
        dataset.preamble = (SECRET * 20).encode()[:128]
    deidentify(dataset, KEY, Options())
    assert SECRET.encode() not in bytes_of(dataset, tmp_path)
    again = pydicom.dcmread(tmp_path / "written.dcm")
    assert again.PatientIdentityRemoved == "YES"


def test_a_value_that_cannot_be_parsed_is_removed(tmp_path):
    path = save(image(), tmp_path / "a.dcm")
    content = path.read_bytes().replace(b"20240229", b"2024SECR")
    path.write_bytes(content)
    dataset = pydicom.dcmread(path)
    deidentify(dataset, KEY, Options(dates="shift"))
    assert b"SECR" not in bytes_of(dataset, tmp_path)


def test_references_hold_over_files_and_runs(tmp_path):
    first, second = image(0), image(1)
    item = Dataset()
    item.ReferencedSOPInstanceUID = first.SOPInstanceUID
    item.ReferencedSOPClassUID = first.SOPClassUID
    second.SourceImageSequence = Sequence([item])
    sop_class = first.SOPClassUID
    deidentify(first, KEY, Options())
    deidentify(second, Pseudonyms(b"0123456789abcdef"), Options())
    assert second.SourceImageSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.SourceImageSequence[0].ReferencedSOPClassUID == first.SOPClassUID == sop_class
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert first[keyword].value == second[keyword].value != image()[keyword].value
    assert first.SOPInstanceUID.startswith("2.25.")
    assert len(first.SOPInstanceUID) <= 64
    assert first.SOPInstanceUID.is_valid
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID
    other = image()
    deidentify(other, Pseudonyms(b"another key of 24 bytes."), Options())
    assert other.SOPInstanceUID != first.SOPInstanceUID


def test_pixels_and_geometry_stay(tmp_path):
    dataset = image()
    before = dataset.PixelData
    dataset.compress(RLELossless)
    packed = dataset.PixelData
    deidentify(dataset, KEY, Options())
    assert dataset.PixelData == packed
    dataset.decompress()
    assert dataset.PixelData[: len(before)] == before
    for keyword in ("ImagePositionPatient", "PixelSpacing", "RescaleSlope", "Rows"):
        assert dataset[keyword].value == image()[keyword].value


def test_each_option_keeps_what_it_says_and_states_its_code():
    def after(options: Options) -> Dataset:
        dataset = image()
        dataset.StationName, dataset.InstitutionName = "CT7", "General"
        dataset.StudyDescription = "CT Head routine, Frau Miller"
        block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "IS", 1000)
        block.add_new(0x0A, "LO", "secret")
        deidentify(dataset, KEY, options)
        return dataset

    def codes(dataset: Dataset) -> list[str]:
        return [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence]

    plain = after(Options())
    assert codes(plain) == ["113100"]
    assert plain.StationName == "REMOVED"
    assert not plain.get("StudyDate")
    assert not plain.get("PatientSex")
    assert plain.LongitudinalTemporalInformationModified == "REMOVED"
    assert len(plain.group_dataset(0x0019)) == 0
    assert after(Options(device=True)).StationName == "CT7"
    assert after(Options(institution=True)).InstitutionName == "General"
    kept = after(Options(patient=True))
    assert (kept.PatientSex, kept.PatientAge) == ("F", "090Y")
    assert not kept.PatientBirthDate
    assert after(Options(uids=True)).SOPInstanceUID == image().SOPInstanceUID
    assert after(Options(descriptions=True)).StudyDescription == "CT Head routine"
    full = after(Options(dates="keep"))
    assert (full.StudyDate, full.LongitudinalTemporalInformationModified) == (
        "20240229",
        "UNMODIFIED",
    )
    assert not full.PatientBirthDate
    shifted = after(Options(dates="shift"))
    first, second = (pydicom.valuerep.DA(str(v)) for v in (shifted.StudyDate, shifted.SeriesDate))
    assert first is not None
    assert second is not None
    assert (second - first).days == 1
    assert str(shifted.StudyDate) != "20240229"
    safe = after(Options(safe_private=True))
    assert safe[0x0019, 0x100C].value == 1000
    assert (0x0019, 0x100A) not in safe
    everything = Options(True, True, True, True, "shift", True, True)
    assert codes(after(everything)) == [
        "113100", "113105", "113107", "113108", "113109", "113110", "113111", "113112",
    ]  # fmt: skip


def test_a_folder_is_written_under_new_names_with_a_log_of_no_originals(tmp_path):
    write_series(tmp_path / "in" / "Miller")
    (tmp_path / "in" / "Miller" / "notes.txt").write_text(SECRET)
    report = image()
    report.Modality, report.SOPInstanceUID = "SR", uid("report")
    save(report, tmp_path / "in" / "report.dcm")
    cut = tmp_path / "in" / "cut.dcm"
    cut.write_bytes(save(image(5), tmp_path / "whole.dcm").read_bytes()[:500])
    out = tmp_path / "out"
    summary = deidentify_folder([tmp_path / "in"], out, KEY)
    assert (summary.written, summary.not_dicom, len(summary.refused)) == (6, 1, 2)
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert len(names) == 7
    log = (out / "deidentified.jsonl").read_text()
    for original in ("Miller", "made-1", "Made", str(uid("a", 0)), "notes", SECRET):
        assert original not in log
        assert not any(original in name for name in names)
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["file"] for line in lines if "file" in line} == names - {"deidentified.jsonl"}
    codes = sorted(line["verdict"]["code"] for line in lines)
    assert codes == ["free_text", "no_pixels"] + ["ok"] * 6
    before = {path: path.read_bytes() for path in out.rglob("*.dcm")}
    deidentify_folder([tmp_path / "in"], out, KEY)
    assert before == {path: path.read_bytes() for path in out.rglob("*.dcm")}


def test_burned_in_text_is_warned_of_or_refused(tmp_path):
    dataset = image()
    pixels = np.random.default_rng(0).integers(20, 180, (128, 256)).astype(np.uint8)
    cv2.putText(pixels, "MILLER JOHN", (8, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 1)
    put_pixels(dataset, pixels)
    save(dataset, tmp_path / "in" / "a.dcm")
    summary = deidentify_folder([tmp_path / "in"], tmp_path / "out", KEY)
    assert dict(summary.codes) == {"burned_in_text": 1}
    summary = deidentify_folder([tmp_path / "in"], tmp_path / "no", KEY, refuse_burned_in=True)
    assert (summary.written, len(summary.refused)) == (0, 1)
    screen = image(1)
    screen.SOPClassUID = screen.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    save(screen, tmp_path / "two" / "b.dcm")
    stated = image(2)
    stated.BurnedInAnnotation = "YES"
    save(stated, tmp_path / "two" / "c.dcm")
    face = image(3)
    face.BodyPartExamined, face.SliceThickness = "HEAD", 1
    save(face, tmp_path / "two" / "d.dcm")
    codes = deidentify_folder([tmp_path / "two"], tmp_path / "out2", KEY).codes
    assert set(codes) == {"burned_in_likely", "burned_in_stated", "face"}


def test_an_image_without_text_has_no_rows():
    y, x = np.mgrid[:200, :200]
    disc = (((y - 100) ** 2 + (x - 90) ** 2) < 60**2) * 255
    assert text_rows(disc.astype(np.uint8)) == []
    assert text_rows(np.zeros((200, 200), np.uint8)) == []
    assert text_rows(np.random.default_rng(1).integers(0, 255, (200, 200)).astype(np.uint8)) == []


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("options", [Options(), Options(True, True, True, True, "shift", True)])
def test_the_validator_finds_no_new_error(tmp_path, options):
    def errors(path: Path) -> set[str]:
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        return {line for line in done.stderr.splitlines() if line.startswith("Error")}

    before = errors(save(image(), tmp_path / "a.dcm"))
    dataset = image()
    deidentify(dataset, KEY, options)
    assert errors(save(dataset, tmp_path / "b.dcm")) - before == set()


def test_a_key_is_made_for_its_owner_alone(tmp_path):
    path = tmp_path / "keys" / "site.key"
    first, second = pseudonyms_of(path), pseudonyms_of(path)
    assert first.uid("1.2.3") == second.uid("1.2.3")
    assert path.stat().st_mode & 0o077 == 0
    (tmp_path / "short").write_text("abc")
    with pytest.raises(InputError, match="3 bytes"):
        pseudonyms_of(tmp_path / "short")


def test_the_command_and_its_errors(tmp_path):
    write_series(tmp_path / "in")

    def run(*arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["deidentify", *map(str, arguments)])
        return done.exit_code, done.stdout + done.stderr

    code, text = run(tmp_path / "in", tmp_path / "out", "--key", tmp_path / "k", "--json")
    assert code == 0
    assert json.loads(text)["written"] == 6
    assert run(tmp_path / "in")[0] == 2
    assert "absent" in run(tmp_path / "absent", tmp_path / "o")[1]
    assert run(tmp_path / "in", tmp_path / "in" / "out")[0] == 2
    assert run(tmp_path / "in", tmp_path / "o", "--dates", "later")[0] == 2
    assert run(tmp_path / "in", tmp_path / "o", "--key", tmp_path / "o" / "key")[0] == 2
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no image")
    assert "no DICOM file" in run(tmp_path / "texts", tmp_path / "o")[1]


@pytest.mark.real
@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
def test_real_files_gain_no_error(tmp_path):
    data = os.environ.get("RADLOOP_DATA")
    if not data:
        pytest.skip("RADLOOP_DATA is not set: no real images to read")

    def errors(folder: Path) -> set[str]:
        found: set[str] = set()
        for path in folder.rglob("*"):
            if path.is_file():
                done = subprocess.run(
                    ["dciodvfy", str(path)], capture_output=True, text=True, check=False
                )
                found |= {x for x in done.stderr.splitlines() if x.startswith("Error")}
        return found

    source = Path(data) / "dicom"
    summary = deidentify_folder([source], tmp_path / "out", KEY)
    assert summary.written > 50
    assert errors(tmp_path / "out") - errors(source) == set()
