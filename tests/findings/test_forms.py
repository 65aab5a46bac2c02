"""The contract of predictions.jsonl, and the log that an interruption does not lose."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from samples import film, predictions, refused_film

from radloop.errors import InputError, WriteError
from radloop.findings import forms
from radloop.findings.finding import Code, Finding, Measurement, ModelRef, Prediction
from radloop.findings.forms import (
    PredictionLog,
    prediction_from_json,
    prediction_to_json,
    read_predictions,
)
from radloop.images.verdict import warned

CONTRACT: dict[str, Any] = {
    "case_id": "film-1",
    "patient_id": "p1",
    "system": "cardiomegaly",
    "model": {"name": "cardiomegaly", "version": "1", "sha256": "00ff"},
    "verdict": {"status": "warned", "code": "rotated", "messages": ["Slightly turned."]},
    "findings": [
        {
            "name": "cardiomegaly",
            "code": {"value": "CARDIOMEGALY", "scheme": "99RADLOOP", "meaning": "Cardiomegaly"},
            "probability": 0.75,
            "positive": True,
            "threshold": 0.5,
            "where": {"box": [1.0, 2.0, 30.0, 40.0], "side": "L"},
            "measurement": {"name": "ctr", "value": 0.54, "unit": "1", "low": 0.5},
        },
        {
            "name": "other",
            "code": {"value": "X", "scheme": "99RADLOOP", "meaning": "Other"},
            "probability": 0.0,
            "positive": False,
            "threshold": 0.5,
            "where": {},
        },
    ],
    "files": {"picture": "pictures/film-1.png"},
    "seconds": {"read": 0.01, "network": 0.02, "total": 0.03},
}

CONTRACT_PREDICTION = Prediction(
    "film-1",
    "p1",
    "cardiomegaly",
    ModelRef("cardiomegaly", "1", "00ff"),
    warned("rotated", "Slightly turned."),
    (
        Finding(
            "cardiomegaly",
            Code("CARDIOMEGALY", "99RADLOOP", "Cardiomegaly"),
            0.75,
            True,
            0.5,
            {"box": [1.0, 2.0, 30.0, 40.0], "side": "L"},
            Measurement("ctr", 0.54, "1", low=0.5),
        ),
        Finding("other", Code("X", "99RADLOOP", "Other"), 0.0, False, 0.5),
    ),
    {"picture": "pictures/film-1.png"},
    {"read": 0.01, "network": 0.02, "total": 0.03},
)


def test_the_contract_to_the_letter() -> None:
    assert prediction_to_json(CONTRACT_PREDICTION) == CONTRACT
    assert prediction_from_json(CONTRACT) == CONTRACT_PREDICTION


@given(predictions)
def test_json_round_trip(prediction: Prediction) -> None:
    text = json.dumps(prediction_to_json(prediction), allow_nan=False)
    assert prediction_from_json(json.loads(text)) == prediction


def test_numpy_values_become_plain() -> None:
    where = {"box": np.array([1, 2, 3, 4]), "slice": np.int64(7)}
    finding = Finding("a", Code("b", "c", "d"), np.float32(0.5), np.bool_(True), 0.5, where)  # type: ignore[arg-type]
    prediction = Prediction("a", "b", "c", CONTRACT_PREDICTION.model, findings=(finding,))
    data = json.loads(json.dumps(prediction_to_json(prediction)))["findings"][0]
    assert data["where"] == {"box": [1, 2, 3, 4], "slice": 7}
    assert data["positive"] is True


def test_keys_of_a_newer_version_are_ignored() -> None:
    assert prediction_from_json(CONTRACT | {"hemisphere": "left"}) == CONTRACT_PREDICTION


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"case_id": None}, "'case_id' is not a text"),
        ({"model": {"name": "a"}}, "'version' is missing"),
        ({"verdict": {"status": "fine", "code": "", "messages": []}}, "accepted, warned"),
        ({"findings": {}}, "'findings' is not a list"),
        ({"findings": [CONTRACT["findings"][0] | {"probability": True}]}, "not a number"),
        ({"findings": [CONTRACT["findings"][0] | {"positive": 1}]}, "true or false"),
        ({"findings": [CONTRACT["findings"][0] | {"measurement": {}}]}, "'name' is missing"),
        ({"seconds": {"read": "fast"}}, "'read' is not a number"),
    ],
)
def test_a_wrong_key_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        prediction_from_json(CONTRACT | change)


def test_the_log_writes_in_order_and_renames_at_the_end(tmp_path: Path) -> None:
    cases = [film("b", 0.9, 0.6), film("a", 0.1, 0.4), refused_film("c\u2028d")]
    with PredictionLog(tmp_path / "new" / "folder") as log:
        for case in cases:
            log.append(case)
            assert not log.path.exists()
    assert read_predictions(tmp_path / "new" / "folder") == cases
    assert [path.name for path in log.path.parent.iterdir()] == ["predictions.jsonl"]


def test_an_interrupted_log_keeps_what_it_has(tmp_path: Path) -> None:
    with PredictionLog(tmp_path) as log:
        log.append(film("old", 0.1, 0.4))
    with pytest.raises(KeyboardInterrupt), PredictionLog(tmp_path) as log:
        log.append(film("new", 0.9, 0.6))
        raise KeyboardInterrupt
    assert [p.case_id for p in read_predictions(log.partial)] == ["new"]
    assert [p.case_id for p in read_predictions(tmp_path)] == ["old"]


def test_each_line_is_on_disk_before_the_next_case(tmp_path: Path) -> None:
    with PredictionLog(tmp_path) as log:
        log.append(film("first", 0.1, 0.4))
        assert [p.case_id for p in read_predictions(log.partial)] == ["first"]


def test_a_file_name_that_is_no_unicode_survives(tmp_path: Path) -> None:
    odd = film("film-\udce9", 0.1, 0.4)  # how Python shows the byte E9 of a latin-1 name
    with PredictionLog(tmp_path) as log:
        log.append(odd)
    assert read_predictions(tmp_path) == [odd]


def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path: Path) -> None:
    whole = json.dumps(CONTRACT)
    (tmp_path / "predictions.jsonl.partial").write_text(f"{whole}\n{whole[:40]}")
    assert len(read_predictions(tmp_path / "predictions.jsonl.partial")) == 1


def test_a_folder_with_only_a_partial_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl.partial").write_text("")
    with pytest.raises(InputError, match="interrupted"):
        read_predictions(tmp_path)


@pytest.mark.parametrize("line", ["not json", "[1]", "{}", '{"case_id": 3}'])
def test_a_broken_line_is_named_by_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "predictions.jsonl").write_text(f"{json.dumps(CONTRACT)}\n\n{line}\n")
    with pytest.raises(InputError, match=r"Line 3 of predictions\.jsonl"):
        read_predictions(tmp_path)


def test_a_missing_or_binary_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no predictions\.jsonl"):
        read_predictions(tmp_path)
    (tmp_path / "predictions.jsonl").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read_predictions(tmp_path)


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(forms.Path, "open", full)
    with pytest.raises(WriteError, match="the disk is full"), PredictionLog(tmp_path):
        pass


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(WriteError), PredictionLog(tmp_path / "out"):
        pass
