"""Pooling: the report of all folds equals the one of their cases judged together."""

from pathlib import Path

import pytest
from made_up import judged
from typer.testing import CliRunner

from radloop.cli.main import app
from radloop.errors import InputError
from radloop.evaluation.pool import pool
from radloop.evaluation.report import write_report
from radloop.systems.cardiomegaly import Cardiomegaly
from radloop.systems.registry import get_system

SYSTEM = Cardiomegaly()
COLUMNS = ("heart_dice", "ctr", "ctr_reference")
SPECS = [s for s in SYSTEM.measures if set(s.columns) <= set(COLUMNS)]


def rows() -> list[dict[str, object]]:
    made = judged(30)
    return [{"heart_dice": row["dice_heart"], **row} for row in made]


def write(folder: Path, part: list[dict[str, object]], system: str = "cardiomegaly") -> Path:
    write_report(
        folder, system=system, model={"name": folder.name}, rows=part, measures=[], resamples=10
    )
    return folder


def folds(folder: Path) -> list[Path]:
    # Two neighbours may share a patient (see made_up), so whole runs of rows make a fold.
    everything = rows()
    return [write(folder / f"fold{k}", everything[12 * k : 12 * (k + 1)]) for k in range(3)]


def test_pooled_folds_equal_their_cases_together(tmp_path: Path) -> None:
    pooled = pool(folds(tmp_path), SYSTEM, tmp_path / "pooled")
    whole = write_report(
        tmp_path / "whole", system=SYSTEM.name, model={}, rows=rows(), measures=SPECS
    )
    assert pooled["n"] == 30
    assert pooled["verdicts"] == {"accepted": 30}
    assert pooled["patients"] == whole["patients"]
    for spec in SPECS:
        assert pooled["measures"][spec.name] == whole["measures"][spec.name]
    assert "Cross-validation: 3 models" in pooled["notes"][0]
    assert (tmp_path / "pooled" / "report.html").is_file()


def test_reports_of_boxes_are_pooled(tmp_path: Path) -> None:
    everything: list[dict[str, object]] = [
        {
            "case_id": f"f{k}", "patient_id": f"p{k}", "verdict": "accepted",
            "found": [[0.9, 0.0, 1023.0, *[0.0] * 6]] if k % 3 else [],
            "truth": [[0.0, 500.0]] if k % 2 else [],
        }
        for k in range(12)
    ]  # fmt: skip
    del everything[5]["found"], everything[5]["truth"]  # a film whose boxes nobody drew
    system = get_system("bone_fracture")
    reports = [
        write(tmp_path / f"fold{k}", everything[4 * k : 4 * (k + 1)], system.name) for k in range(3)
    ]
    pooled = pool(reports, system, tmp_path / "pooled")
    spec = next(s for s in system.measures if s.name == "ap50")
    whole = write_report(
        tmp_path / "whole", system=system.name, model={}, measures=[spec],
        rows=[{"found": None, "truth": None, **row} for row in everything],
    )  # fmt: skip
    assert pooled["measures"]["ap50"] == whole["measures"]["ap50"]
    assert pooled["measures"]["ap50"]["n"] == 11


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "Case 'film-000' is in 'a' and in 'b'"),
        ({"case_id": "another"}, "Patient 'patient-0' is in 'a' and in 'b'"),
    ],
)
def test_what_two_folds_share_is_refused(
    tmp_path: Path, change: dict[str, object], sentence: str
) -> None:
    first = rows()[:1]
    a, b = write(tmp_path / "a", first), write(tmp_path / "b", [{**first[0], **change}])
    with pytest.raises(InputError, match=sentence):
        pool([a, b], SYSTEM, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_single_report_another_system_and_no_report_are_refused(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", rows()[:3]), write(tmp_path / "b", rows()[12:15], "other")
    with pytest.raises(InputError, match="nothing to pool"):
        pool([a], SYSTEM, tmp_path / "out")
    with pytest.raises(InputError, match="systems 'cardiomegaly' and 'other'"):
        pool([a, b], SYSTEM, tmp_path / "out")
    with pytest.raises(InputError, match=r"holds no readable report\.json"):
        pool([a, tmp_path], SYSTEM, tmp_path / "out")


def test_the_command_prints_the_table(tmp_path: Path) -> None:
    names = [str(fold) for fold in folds(tmp_path)]
    outcome = CliRunner().invoke(app, ["pool", *names, "--out", str(tmp_path / "cv")])
    assert outcome.exit_code == 0, outcome.output
    assert "30 cases" in outcome.stdout
    assert "heart_dice" in outcome.stdout
