"""Importers: what is paired, what is reported, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from radloop.cases.importing import ImportReport, import_masks, import_table
from radloop.cases.names import bare
from radloop.cases.table import read_cases
from radloop.errors import CaseTableError, InputError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def noted(report: ImportReport) -> dict[str, tuple[str, ...]]:
    return {note.code: note.names for note in report.notes}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return touch(tmp_path / "images", "11_000.png", "11_001.png", "12_000.png")


def test_masks_by_name(tmp_path: Path, images: Path) -> None:
    heart = touch(tmp_path / "heart", "11_000.gif", "11_001.png", "99_000.png")
    out = tmp_path / "cases.csv"
    report = import_masks(images, {"heart": heart}, patient_from="^([0-9]+)_", out=out)
    table = read_cases(out)
    assert [case.case_id for case in table.cases] == ["11_000", "11_001", "12_000"]
    assert [case.patient_id for case in table.cases] == ["11", "11", "12"]
    assert table.cases[0].reference.masks["heart"].name == "11_000.gif"
    assert "heart" not in table.cases[2].reference.masks
    assert noted(report) == {
        "masks_without_image": ("99_000.png",),
        "images_without_mask": ("12_000.png",),
    }
    assert report.to_json()["patients"] == 2


def test_masks_below_the_images_are_no_images(tmp_path: Path, images: Path) -> None:
    heart = touch(images / "masks", "11_000.png", "11_001.png", "12_000.png")
    report = import_masks(images, {"heart": heart}, out=tmp_path / "cases.csv")
    assert len(report.table.cases) == 3 and not report.notes


def test_equal_names_in_several_folders(tmp_path: Path) -> None:
    images = touch(tmp_path / "images", "p1/1.jpg", "p2/1.jpg")
    masks = touch(tmp_path / "masks", "p2/1.png", "p1/1.png", "1.png")
    report = import_masks(images, {"clot": masks}, out=tmp_path / "cases.csv")
    assert [case.case_id for case in report.table.cases] == ["p1_1", "p2_1"]
    for case in report.table.cases:
        assert case.reference.masks["clot"].parent.name == case.image.parent.name
    assert noted(report) == {"masks_without_image": ("1.png",)}  # which of the two is not said


def test_a_table_gives_values(tmp_path: Path, images: Path) -> None:
    heart = touch(tmp_path / "heart", "11_000.png", "11_001.png", "12_000.png")
    table = tmp_path / "ctr.csv"
    table.write_text("age,id,ctr,note\n61,11_000.png,0.5,x\n,12_000,0.61,\n7,13_000.png,.4,\n")
    report = import_masks(images, {"heart": heart}, table, out=tmp_path / "cases.csv")
    values = {case.case_id: case.reference.values for case in report.table.cases}
    assert values == {"11_000": {"age": 61, "ctr": 0.5}, "11_001": {}, "12_000": {"ctr": 0.61}}
    assert noted(report) == {
        "columns_left_out": ("note",),
        "rows_without_image": ("13_000.png",),
        "images_without_row": ("11_001.png",),
    }


def test_names_the_expression_does_not_match(tmp_path: Path, images: Path) -> None:
    report = import_masks(images, {"heart": touch(tmp_path / "heart", "11_000.png")},
                          patient_from="^11", out=tmp_path / "cases.csv")  # fmt: skip
    assert [case.patient_id for case in report.table.cases] == ["11", "11", "12_000"]
    assert noted(report)["names_without_patient"] == ("12_000.png",)


NIH = """Image Index,Finding Labels,sex_male,Patient Age
11_000.png,Cardiomegaly|Effusion,1,60
11_001.png,No Finding,0,61
12_000.png,,,
13_000.png,Pleural_Thickening| Effusion ,1,50
"""


def test_labels_from_a_column_and_from_a_list(tmp_path: Path, images: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(NIH)
    report = import_table(
        images,
        table,
        "Image Index",
        {
            "cardiomegaly": "Finding Labels=Cardiomegaly",
            "effusion": "Finding Labels=Effusion",
            "male": "sex_male",
        },
        {"age": "Patient Age"},
        "^([0-9]+)_",
        out=tmp_path / "cases.csv",
    )
    labels = {case.case_id: case.reference.labels for case in read_cases(report.table.path).cases}
    assert labels == {
        "11_000": {"cardiomegaly": True, "effusion": True, "male": True},
        "11_001": {"cardiomegaly": False, "effusion": False, "male": False},
        "12_000": {},  # an empty cell is unknown, not absent
    }
    assert noted(report) == {"rows_without_image": ("13_000.png",)}
    assert report.table.cases[0].reference.values == {"age": 60}


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        ({"x": "Findings=Effusion"}, {}, "no column 'Findings'.*Finding Labels"),
        ({"x": "Finding Labels=effusion"}, {}, "No row .* 'effusion'.*Cardiomegaly"),
        ({"x": "Finding Labels"}, {}, "row 2: 'Finding Labels' is 'Cardiomegaly|Effusion'"),
        ({}, {"x": "Finding Labels"}, "row 2: .* is not a number"),
        ({}, {"x": "bmi"}, "no column 'bmi'"),
    ],
)
def test_wrong_columns(
    tmp_path: Path, images: Path, labels: dict[str, str], values: dict[str, str], message: str
) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(NIH)
    with pytest.raises(InputError, match=message):
        import_table(images, table, "Image Index", labels, values, out=tmp_path / "cases.csv")
    assert not (tmp_path / "cases.csv").exists()


def test_wrong_rows(tmp_path: Path, images: Path) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "cases.csv"
    table.write_text("file,x\n11_000.png,1\n11_000.png,0\n")
    with pytest.raises(CaseTableError, match=r"row 3: 11_000.png is already in row 2"):
        import_table(images, table, "file", {"x": "x"}, out=out)
    with pytest.raises(CaseTableError, match="No cell of the column 'x'"):
        import_table(images, table, "x", {}, out=out)
    table.write_text("file,x\nzz.png,1\n")
    with pytest.raises(CaseTableError, match=r"No column of t.csv names an image"):
        import_masks(images, {"m": touch(tmp_path / "m", "11_000.png")}, table, out=out)


def test_wrong_folders_and_expressions(tmp_path: Path, images: Path) -> None:
    out = tmp_path / "cases.csv"
    heart = touch(tmp_path / "heart", "11_000.png")
    with pytest.raises(InputError, match="no folder none"):
        import_masks(tmp_path / "none", {"heart": heart}, out=out)
    with pytest.raises(InputError, match="no folder none"):
        import_masks(images, {"heart": tmp_path / "none"}, out=out)
    with pytest.raises(InputError, match="No masks were named"):
        import_masks(images, {}, out=out)
    with pytest.raises(InputError, match="same folder"):
        import_masks(images, {"heart": images}, out=out)
    with pytest.raises(InputError, match="not a regular expression"):
        import_masks(images, {"heart": heart}, patient_from="(", out=out)
    with pytest.raises(InputError, match="No mask of heart has the name"):
        import_masks(images, {"heart": touch(tmp_path / "other", "zz.png")}, out=out)
    with pytest.raises(InputError, match=r"Two masks of heart belong to 11_000.png"):
        import_masks(images, {"heart": touch(heart, "11_000.gif")}, out=out)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", "a"),
        ("brain.nii.gz", "brain"),
        ("1.2.410.200048.9342", "1.2.410.200048.9342"),
        ("1.2.410.png", "1.2.410"),
        ("README", "README"),
    ],
)
def test_bare_names(name: str, expected: str) -> None:
    assert bare(name) == expected
