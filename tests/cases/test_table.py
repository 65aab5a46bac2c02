"""The case table: what it accepts, what it refuses and says, and that writing loses nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.cases.case import Case, Reference
from radloop.cases.table import read_cases, table_of, write_cases
from radloop.errors import CaseTableError, InputError

FULL = """site,case_id,patient_id,split,image,label:wet,mask:heart,value:ctr,reader:ann:ctr,memo
north,a,p1,train,images/a.png,1,masks/a.png,0.52,0.5,"said ""yes"", twice"
,b,p2,val,images/b.png,0,,,,
south,c,p3,,images/c.png,,masks/c.png,3,,  kept  
"""


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def files(folder: Path, *names: str) -> None:
    for name in names:
        write(folder / name, b"x")


@pytest.fixture
def full(tmp_path: Path) -> Path:
    files(tmp_path, *(f"images/{name}.png" for name in "abc"), "masks/a.png", "masks/c.png")
    return write(tmp_path / "cases.csv", FULL)


def test_reads_what_the_contract_lists(full: Path) -> None:
    first, second, third = read_cases(full).cases
    assert (first.case_id, first.patient_id, first.split) == ("a", "p1", "train")
    assert first.image == full.parent / "images/a.png"
    assert first.reference.labels == {"wet": True}
    assert first.reference.masks == {"heart": full.parent / "masks/a.png"}
    assert first.reference.values == {"ctr": 0.52}
    assert first.reference.readers == {("ann", "ctr"): 0.5}
    assert second.reference == Reference(labels={"wet": False})
    assert third.reference.labels == {} and third.split == ""


def test_writing_gives_the_same_cells_in_the_same_order(full: Path) -> None:
    write_cases(read_cases(full), full.with_name("again.csv"))
    assert full.with_name("again.csv").read_text() == FULL


def test_a_moved_table_points_to_the_same_files(full: Path) -> None:
    moved = full.parent / "deep" / "er" / "cases.csv"
    write_cases(read_cases(full), moved)
    assert "../../images/a.png" in moved.read_text()
    again = read_cases(moved)
    for before, after in zip(read_cases(full).cases, again.cases, strict=True):
        assert before.image.samefile(after.image)
    assert [dict(row) for row in again.extra] == [dict(row) for row in read_cases(full).extra]


def test_a_moved_table_points_through_a_linked_folder(full: Path, tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real" / "deep")
    write_cases(read_cases(full), link / "cases.csv")
    assert read_cases(link / "cases.csv").cases[0].image.exists()


def test_channels_boxes_and_slices(tmp_path: Path) -> None:
    files(tmp_path, "dwi.nii", "adc.nii", "boxes.json", "slices.csv")
    path = write(
        tmp_path / "cases.csv",
        "case_id,patient_id,image:dwi,image:adc,boxes,slices\n"
        "a,p,dwi.nii,adc.nii,boxes.json,slices.csv\n",
    )
    table = read_cases(path)
    assert list(table.cases[0].images) == ["dwi", "adc"]
    assert table.cases[0].reference.boxes == tmp_path / "boxes.json"
    write_cases(table, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == path.read_text()


def test_byte_order_mark_crlf_and_blank_lines_are_accepted(full: Path) -> None:
    text = FULL.replace("\n", "\r\n") + "\r\n,,,,,,,,,\r\n"
    same = write(full.with_name("excel.csv"), b"\xef\xbb\xbf" + text.encode())
    assert read_cases(same).cases == read_cases(full).cases
    assert read_cases(same).columns == read_cases(full).columns


def test_whole_numbers_as_pandas_writes_them(full: Path) -> None:
    path = write(full.with_name("pandas.csv"), FULL.replace(",1,masks", ",1.0,masks"))
    assert read_cases(path).cases[0].reference.labels == {"wet": True}


def test_one_split(full: Path) -> None:
    table = read_cases(full)
    assert table.splits == ("train", "val")
    assert [case.case_id for case in table.only("val").cases] == ["b"]
    assert [dict(row)["site"] for row in table.only("train").extra] == ["north"]
    with pytest.raises(InputError, match=r"no split 'test'.*train, val"):
        table.only("test")


HEAD = "case_id,patient_id,split,image\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (HEAD, "has no rows"),
        ("case_id,patient_id\na,p\n", "no image column"),
        ("case_id,image\na,a.png\n", "no column 'patient_id'"),
        ("patient_id,image\np,a.png\n", "no column 'case_id'"),
        (HEAD + "a,p,,a.png\nb,q,,a.png\na,r,,a.png\n", "row 4: the case 'a' .* in row 2"),
        (HEAD + "a,p,,\n", "row 2: no image"),
        (HEAD + ",p,,a.png\n", "row 2: case_id is empty"),
        (HEAD + "a, ,,a.png\n", "row 2: patient_id is empty"),
        (HEAD + "a,p,,b.png\n", "row 2: there is no file b.png"),
        (HEAD + "a,p,,b.png\nc,q,,d.png\n", r"no file b.png \(1 more"),
        (HEAD + "a,p,train,a.png\nb,p,val,a.png\n", "row 2: .* more than one split: train, val"),
        (HEAD + "a,p,train\n", "row 2: 3 cells under 4 columns"),
        (HEAD + "a,p,,a.png,more\n", "row 2: 5 cells under 4 columns"),
        (HEAD + 'a,p,,"a.png\n', "not a readable CSV"),
        (HEAD.replace(",", ";"), "not separated by commas"),
        ("case_id,case_id,patient_id,image\na,a,p,a.png\n", "'case_id' more than once"),
        ("case_id,patient_id,image,label:x\na,p,a.png,yes\n", "row 2: label:x is 'yes'"),
        ("case_id,patient_id,image,label:x\na,p,a.png,2\n", "row 2: label:x is '2'"),
        ("case_id,patient_id,image,value:x\na,p,a.png,0;5\n", "row 2: value:x is '0;5'"),
        ("case_id,patient_id,image,value:x\na,p,a.png,inf\n", "row 2: value:x is 'inf'"),
        ("case_id,patient_id,image,reader:ann:x\na,p,a.png,?\n", "row 2: reader:ann:x is"),
        ("case_id,patient_id,image,reader:x\na,p,a.png,1\n", "'reader:x' is not of the form"),
        ("case_id,patient_id,image,label:\na,p,a.png,1\n", "'label:' lacks its name"),
        ("case_id,patient_id,image,image:x\na,p,a.png,a.png\n", "both 'image' and 'image:x'"),
    ],
)
def test_each_error_says_where_and_what(tmp_path: Path, text: str, message: str) -> None:
    files(tmp_path, "a.png")
    with pytest.raises(CaseTableError, match=message) as error:
        read_cases(write(tmp_path / "cases.csv", text))
    assert error.value.remedy and error.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("é,b\n".encode("latin-1"), "line 1: not UTF-8"),
        ("case_id,image\n".encode("utf-16"), "not a CSV text file"),
        (b"PK\x03\x04\x00\x00", "not a CSV text file"),
    ],
)
def test_other_kinds_of_file(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(CaseTableError, match=message):
        read_cases(write(tmp_path / "cases.csv", content))


def test_no_such_table_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CaseTableError, match=r"no file none.csv"):
        read_cases(tmp_path / "none.csv")
    with pytest.raises(CaseTableError, match="could not be read"):
        read_cases(tmp_path)


def test_the_audit_may_read_what_training_may_not(tmp_path: Path) -> None:
    text = HEAD + "a,p,train,none.png\nb,p,val,none.png\n"
    assert len(read_cases(write(tmp_path / "cases.csv", text), strict=False).cases) == 2


def test_a_shared_patient_is_not_named(tmp_path: Path) -> None:
    files(tmp_path, "a.png")
    text = HEAD + "a,Miller^Ann,train,a.png\nb,Miller^Ann,val,a.png\n"
    with pytest.raises(CaseTableError) as error:
        read_cases(write(tmp_path / "cases.csv", text))
    assert "Miller" not in str(error.value)


names = st.text("abcXYZ 0,\"';=-_é", min_size=1, max_size=8).map(str.strip).filter(bool)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            names,
            st.dictionaries(names, st.booleans(), max_size=2),
            st.dictionaries(names, numbers, max_size=2),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, dict[str, bool], dict[str, float]]],
) -> None:
    folder = tmp_path_factory.mktemp("table")
    cases = [
        Case(
            f"{index}{patient}",
            patient,
            {"image": folder / f"{index}.png"},
            reference=Reference(labels=labels, values=values),
        )
        for index, (patient, labels, values) in enumerate(rows)
    ]
    path = folder / "cases.csv"
    write_cases(table_of(cases, path), path)
    assert list(read_cases(path, strict=False).cases) == cases
    with path.open(newline="", encoding="utf-8") as file:
        assert [row["case_id"] for row in csv.DictReader(file)] == [c.case_id for c in cases]
