"""Scans as folders of numbered slices: the importer, the reader, and the finder of scans."""

from pathlib import Path

import numpy as np
import pytest

from radloop.cases.slices import import_slices, read_slice_labels
from radloop.cases.table import read_cases
from radloop.errors import CaseTableError, InputError
from radloop.images.scans import find_scans, read_image
from radloop.images.slice_folder import read_slice_folder
from radloop.images.write import write_png


def write_scan(folder: Path, numbers: list[int], shape=(40, 48)) -> Path:
    """Slice k is all of grey k, but for one pixel."""
    for k in numbers:
        one = np.full(shape, k, np.uint8)
        one[0, 0] = 255
        write_png(folder / f"slice_{k}.png", one)
    return folder


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    write_scan(tmp_path / "scans" / "007", [1, 2, 3, 10])
    write_scan(tmp_path / "scans" / "b", [1, 2])
    return tmp_path / "scans"


def table(folder: Path, *rows: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(["scan,number,blood,other", *rows]) + "\n")
    return path


def imported(scans: Path, *rows: str, labels=None, **more):
    labels = labels or {"blood": "blood"}
    out = scans.parent / "cases.csv"
    return import_slices(
        scans, table(scans.parent, *rows), "scan", "number", labels, out=out, **more
    )


def test_slices_are_in_the_order_of_their_numbers(scans):
    reading = read_slice_folder(scans / "007")
    assert reading.image is not None
    assert reading.image.array[:, 5, 5].tolist() == [1, 2, 3, 10]
    assert reading.image.acquisition["slices"][-1] == "slice_10.png"
    assert reading.verdict.code == "slice_missing" and "4, 5, 6" in reading.verdict.messages[0]


def test_rows_find_scans_by_name_or_number(scans):
    report = imported(scans, "7,2,1,0", "7,10,0,0", "B,1,0,0", "B,2,0,0", any_label="any",
                      labels={"blood": "blood", "other": "other"})  # fmt: skip
    a, b = read_cases(report.table.path).cases
    assert a.reference.labels["blood"] is True and a.reference.labels["any"] is True
    assert b.reference.labels == {"any": False, "blood": False, "other": False}
    assert a.image == report.table.path.parent / "scans" / "007"
    labels = read_slice_labels(
        a.reference.slices, ("slice_1.png", "slice_2.png", "slice_3.png", "slice_10.png"), ("any",)
    )[:, 0]
    assert np.array_equal(labels, [np.nan, 1, np.nan, 0], equal_nan=True)


def test_what_finds_no_partner_is_reported(scans):
    report = imported(scans, "7,2,1,0", "7,99,1,0", "c,1,0,0")
    notes = {note.code: note.names for note in report.notes}
    assert notes["rows_without_scan"] == ("c",)
    assert notes["scans_without_rows"] == ("b",)
    assert notes["rows_without_slice"] == ("007/99",)
    assert notes["slices_without_row"] == ("007/1", "007/3", "007/10")


@pytest.mark.parametrize(
    ("rows", "error", "reason"),
    [
        (("7,2,1,0", "7,2,0,0"), CaseTableError, "slice 2 of '007' is there twice"),
        (("7,2,maybe,0",), CaseTableError, "'blood' is 'maybe'"),
        (("9,2,1,0",), InputError, "No row of labels.csv belongs to a slice"),
    ],
)
def test_bad_rows_are_named(scans, rows, error, reason):
    with pytest.raises(error, match=reason):
        imported(scans, *rows)
    assert not (scans.parent / "cases.csv").exists()


def test_bad_calls_are_refused(scans, tmp_path):
    with pytest.raises(InputError, match="no column 'wrong'"):
        imported(scans, "7,2,1,0", labels={"blood": "wrong"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no folders of slices"):
        imported(tmp_path / "empty", "7,2,1,0")


def test_slices_without_names_are_matched_by_their_number(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("slice,any\n2,1\n1,0\n")
    assert read_slice_labels(path, ("", ""), ("any",))[:, 0].tolist() == [0, 1]
    with pytest.raises(CaseTableError, match="2 rows for 3 slices"):
        read_slice_labels(path, ("", "", ""), ("any",))


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (lambda f: None, "no_slices"),
        (lambda f: write_png(f / "x.png", np.full((40, 40), 3, np.uint8)), "slice_without_number"),
        (lambda f: (write_scan(f, [1]), write_png(f / "again_01.png", np.eye(40, 48, dtype="u1"))),
         "slice_number_twice"),
        (lambda f: (write_scan(f, [1]), write_scan(f, [2], (50, 50))), "slices_differ"),
        (lambda f: (write_scan(f, [1]), (f / "2.png").write_bytes(b"")), "empty_file"),
    ],
)  # fmt: skip
def test_bad_folders_are_refused(tmp_path, prepare, code):
    prepare(tmp_path)
    reading = read_slice_folder(tmp_path)
    assert reading.image is None and reading.verdict.code == code


def test_scans_are_found_where_files_lie(scans):
    (scans / "deep" / "er").mkdir(parents=True)
    (scans / "deep" / "er" / "v.nii.gz").write_bytes(b"x")
    found = [path.relative_to(scans).as_posix() for path in find_scans(scans)]
    assert found == ["007", "b", "deep/er/v.nii.gz"]
    assert find_scans(scans / "b") == [scans / "b"]
    assert read_image(scans / "b").image.array.shape == (2, 40, 48)
    (scans / "nothing").mkdir()
    with pytest.raises(InputError, match="holds no scans"):
        find_scans(scans / "nothing")
