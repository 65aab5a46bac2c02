"""The code table: private where nothing is sure, within DICOM's limits, and unambiguous."""

from __future__ import annotations

import pytest

from radloop.errors import InputError
from radloop.findings.codes import TABLE, code, private_code
from radloop.findings.finding import Code, Measurement


def test_cardiomegaly_is_private() -> None:
    assert code("cardiomegaly") == Code("CARDIOMEGALY", "99RADLOOP", "Cardiomegaly")
    assert code("cardiothoracic_ratio").scheme == "99RADLOOP"


def test_every_row_is_reviewed_and_its_code_its_own() -> None:
    assert all(row.confirmed for row in TABLE.values())
    assert len({(row.code.scheme, row.code.value) for row in TABLE.values()}) == len(TABLE)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(InputError, match="'cardiomegally'"):
        code("cardiomegally")


@pytest.mark.parametrize(("value", "meaning"), [("", "a"), ("A" * 17, "a"), ("A", "a" * 65)])
def test_private_codes_fit_dicom(value: str, meaning: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        private_code(value, meaning)


def test_measurement_as_text() -> None:
    assert Measurement("ctr", 0.5412, "1", 0.52, 0.56).text() == "0.541 (0.520-0.560)"
    assert Measurement("volume", 12.3, "ml").text() == "12.30 ml"
