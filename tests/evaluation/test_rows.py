"""The per-case table: what is written is what is read, to the last bit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radloop.errors import InputError
from radloop.evaluation.rows import format_rows, numeric_columns, patients_of, read_rows

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=8)


@given(
    st.dictionaries(
        NAMES, st.tuples(NAMES, st.floats(), st.none() | st.booleans()), min_size=1, max_size=5
    )
)
def test_round_trip(tmp_path_factory, cases):
    path = tmp_path_factory.mktemp("rows") / "cases.csv"
    rows = [
        {"case_id": case, "patient_id": patient, "x": x, "flag": flag}
        for case, (patient, x, flag) in cases.items()
    ]
    path.write_text(format_rows(rows), encoding="utf-8", newline="")
    back = read_rows(path)
    assert [row["case_id"] for row in back] == [row["case_id"] for row in rows]
    assert patients_of(back) == patients_of(rows)
    for name, column in numeric_columns(rows).items():
        np.testing.assert_array_equal(column, numeric_columns(back)[name])


def test_columns_of_numbers():
    rows = [
        {"case_id": "1", "patient_id": "7", "x": 1, "word": "yes"},
        {"case_id": "2", "patient_id": "7", "x": "", "word": "2", "late": True},
    ]
    columns = numeric_columns(rows)
    assert set(columns) == {"x", "late"}
    assert columns["x"][0] == 1.0
    assert math.isnan(columns["x"][1])
    assert math.isnan(columns["late"][0])


def test_a_case_without_patient_is_its_own():
    rows = [{"case_id": "a"}, {"case_id": "b", "patient_id": ""}, {"case_id": "c", "patient_id": 1}]
    assert len(set(patients_of(rows))) == 3


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no column 'case_id'"),
        (b"case_id,x\na,1\n", "no column 'patient_id'"),
        (b"case_id,patient_id\na,p\na,p\n", "more than once"),
        (b"case_id,patient_id\na\n", "different lengths"),
        (b"case_id,patient_id\na,p,3\n", "different lengths"),
        (b"case_id,patient_id\n\xff\xfe,p\n", "cannot be read"),
    ],
)
def test_clear_errors(tmp_path, content, complaint):
    path = tmp_path / "cases.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        read_rows(path)


def test_missing_table(tmp_path):
    with pytest.raises(InputError, match=r"cases\.csv cannot be read"):
        read_rows(tmp_path / "cases.csv")
