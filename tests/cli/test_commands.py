"""What each command does with its options, and what it prints where."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from radloop.cli.main import app
from radloop.findings.finding import Code, Finding, Measurement, ModelRef, Prediction
from radloop.findings.forms import PredictionLog
from radloop.images.verdict import refused
from radloop.images.write import write_png
from radloop.inference.predict import PredictOptions, PredictSummary
from radloop.service.demo import DemoPart, run_demo
from radloop.systems.fit import TrainOptions

run = CliRunner()
MODEL = ModelRef("toy", "1", "00")


def film(case_id: str, probability: float, ctr: float) -> Prediction:
    code = Code("CARDIOMEGALY", "99RADLOOP", "Cardiomegaly")
    measured = Measurement("cardiothoracic_ratio", ctr, "1", ctr - 0.01, ctr + 0.01)
    finding = Finding("cardiomegaly", code, probability, probability > 0.5, 0.5, {}, measured)
    return Prediction(case_id, case_id, "cardiomegaly", MODEL, findings=(finding,))


CLEAR, URGENT = film("clear", 0.01, 0.42), film("urgent", 0.98, 0.61)
KNEE = Prediction("knee", "knee", "cardiomegaly", MODEL, refused("no_chest", "This is no chest."))


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    info = {"format": 1, "name": "toy", "version": "1", "system": "cardiomegaly", "sha256": "00"}
    (folder / "model.json").write_text(json.dumps(info))
    (folder / "weights.safetensors").write_bytes(b"")
    (folder / "card.md").write_text("# The toy model\nFit for nothing.\n")
    return folder


@pytest.fixture
def films(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("p1_a.png", "p1_b.png", "p2_a.png", "p3_a.png"):
        grey = random.integers(0, 255, (64, 64), np.uint8)
        write_png(tmp_path / "films" / name, grey)
        write_png(tmp_path / "heart" / name, (grey > 128).astype(np.uint8) * 255)
    return tmp_path / "films"


Predictor = Callable[..., PredictSummary]


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Prediction]], dict[str, Any]]:
    """Puts a predictor in place that says what it is told, and records how it was called."""

    def install(predictions: Sequence[Prediction]) -> dict[str, Any]:
        called: dict[str, Any] = {}

        def predict(
            model: Any, inputs: Sequence[Path], out: Path, options: PredictOptions, progress: Any
        ) -> PredictSummary:
            called.update(model=model, inputs=inputs, options=options)
            with PredictionLog(out) as log:
                for done, prediction in enumerate(predictions, start=1):
                    log.append(prediction)
                    if progress is not None:
                        progress(done, len(predictions))
            n = sum(p.verdict.refused for p in predictions)
            return PredictSummary(len(predictions), len(predictions) - n, 0, n, 0.5)

        monkeypatch.setattr("radloop.inference.predict.predict", predict)
        return called

    return install


def test_systems() -> None:
    outcome = run.invoke(app, ["systems", "--json"])
    assert outcome.exit_code == 0
    (system,) = [row for row in json.loads(outcome.stdout) if row["name"] == "cardiomegaly"]
    assert {"paper", "strong", "tiny"} <= set(system["presets"])
    assert "cardiomegaly" in run.invoke(app, ["systems"]).stdout


def test_model_show(model_folder: Path) -> None:
    assert run.invoke(app, ["model", "show", str(model_folder)]).stdout.startswith("# The toy")
    as_json = run.invoke(app, ["model", "show", str(model_folder), "--json"]).stdout
    assert json.loads(as_json)["name"] == "toy"


def test_predict(model_folder: Path, tmp_path: Path, predictor: Any) -> None:
    called = predictor([CLEAR, URGENT])
    out = tmp_path / "out"
    outcome = run.invoke(
        app,
        ["predict", str(model_folder), "a.png", "b.dcm", "--out", str(out), "--engine", "torch"],
    )
    assert outcome.exit_code == 0, outcome.output
    assert called["model"].name == "toy"
    assert called["inputs"] == [Path("a.png"), Path("b.dcm")]
    assert called["options"] == PredictOptions(engine="torch")
    assert "2 films" in outcome.stdout
    assert not (out / "index.html").exists()


def test_predict_with_pictures_writes_the_page(
    model_folder: Path, tmp_path: Path, predictor: Any
) -> None:
    called = predictor([CLEAR, URGENT])
    out = tmp_path / "out"
    run.invoke(app, ["predict", str(model_folder), "a.png", "--out", str(out), "--pictures"])
    assert called["options"].pictures
    page = (out / "index.html").read_text()
    assert (
        page.index("urgent</") < page.index("clear</") if "urgent</" in page else "urgent" in page
    )


def test_refused_films_are_listed_and_end_with_3(
    model_folder: Path, tmp_path: Path, predictor: Any
) -> None:
    predictor([CLEAR, KNEE])
    arguments = ["predict", str(model_folder), "films", "--out", str(tmp_path / "out")]
    outcome = run.invoke(app, arguments)
    assert outcome.exit_code == 3
    assert "refused: knee: This is no chest." in outcome.stdout
    as_json = run.invoke(app, [*arguments, "--json"])
    assert as_json.exit_code == 3
    summary = json.loads(as_json.stdout)
    assert (summary["n"], summary["refused"]) == (2, 1)
    assert [case["case_id"] for case in summary["refused_cases"]] == ["knee"]


def test_an_interrupted_prediction_says_what_it_kept(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(model: Any, inputs: Any, out: Path, *_: Any) -> None:
        with PredictionLog(out) as log:
            log.append(URGENT)
            raise KeyboardInterrupt

    monkeypatch.setattr("radloop.inference.predict.predict", predict)
    out = tmp_path / "out"
    outcome = run.invoke(app, ["predict", str(model_folder), "a.png", "--out", str(out)])
    assert outcome.exit_code == 130
    assert "predictions.jsonl.partial" in outcome.stderr
    kept = run.invoke(app, ["worklist", str(out / "predictions.jsonl.partial"), "--json"])
    assert [item["case_id"] for item in json.loads(kept.stdout)] == ["urgent"]


def test_worklist(tmp_path: Path) -> None:
    with PredictionLog(tmp_path) as log:
        for prediction in (CLEAR, KNEE, URGENT):
            log.append(prediction)
    items = json.loads(run.invoke(app, ["worklist", str(tmp_path), "--json"]).stdout)
    assert [item["case_id"] for item in items] == ["urgent", "knee", "clear"]
    table = run.invoke(app, ["worklist", str(tmp_path)]).stdout
    assert table.index("urgent") < table.index("knee") < table.index("clear")


def test_demo(tmp_path: Path, model_folder: Path, predictor: Any) -> None:
    called = predictor([CLEAR, URGENT, KNEE])
    (tmp_path / "films").mkdir()
    seen: list[tuple[int, int]] = []
    items = run_demo(
        tmp_path / "out",
        parts=[DemoPart(str(model_folder), tmp_path / "films")],
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [item.prediction.case_id for item in items] == ["urgent", "knee", "clear"]
    assert called["options"].pictures
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert (tmp_path / "out" / "index.html").is_file()


def test_import_split_and_errors_of_the_table(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    arguments = ["--images", str(films), "--out", str(table), "--patient-from", r"^(p\d)"]
    done = run.invoke(app, ["import", "masks", "--mask", f"heart={tmp_path / 'heart'}", *arguments])
    assert done.exit_code == 0, done.output
    assert "4 cases of 3 patients" in done.stdout
    counts = run.invoke(app, ["split", str(table), "--fractions", ".5,.5", "--json"])
    assert counts.exit_code == 0, counts.output
    assert sum(json.loads(counts.stdout).values()) == 4
    assert set(json.loads(counts.stdout)) == {"train", "val"}
    wrong = run.invoke(app, ["split", str(table), "--fractions", "half"])
    assert (wrong.exit_code, wrong.stdout) == (2, "")


def test_import_table(films: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,finding,ctr\np1_a.png,A|B,0.5\np2_a.png,C,0.4\n")
    out = tmp_path / "cases.csv"
    outcome = run.invoke(
        app,
        ["import", "table", "--images", str(films), "--table", str(tmp_path / "labels.csv"),
         "--file-column", "file", "--label", "b=finding=B", "--value", "ctr=ctr",
         "--out", str(out), "--json"],
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    assert {"label:b", "value:ctr"} <= set(json.loads(outcome.stdout)["columns"])


def test_check_ends_with_1_when_splits_leak(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    table.write_text(
        "case_id,patient_id,split,image\n"
        "a,p1,train,films/p1_a.png\nb,p1,val,films/p1_b.png\nc,p2,train,films/p2_a.png\n"
    )
    outcome = run.invoke(app, ["check", str(table), "--json"])
    assert outcome.exit_code == 1, outcome.output
    assert "p1" not in outcome.stderr
    assert (tmp_path / "check" / "check.html").is_file()
    table.write_text(table.read_text().replace("b,p1,val", "b,p1,train"))
    outcome = run.invoke(app, ["check", str(table), "--out", str(tmp_path / "elsewhere")])
    assert outcome.exit_code == 0, outcome.output
    assert (tmp_path / "elsewhere" / "check.html").is_file()


def test_train_hands_its_options_on(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def fit(system: Any, table: Any, out: Path, options: TrainOptions) -> Any:
        seen.update(system=system.name, cases=len(table.cases), out=out, options=options)
        return SimpleNamespace(best_score=0.9, epochs=3, minutes=0.1, skipped={"a": "unreadable"})

    monkeypatch.setattr("radloop.systems.fit.fit", fit)
    (tmp_path / "cases.csv").write_text(
        "case_id,patient_id,split,image\na,p1,fold0,films/p1_a.png\nb,p2,fold1,films/p2_a.png\n"
    )
    outcome = run.invoke(
        app,
        ["train", "cardiomegaly", "--cases", str(tmp_path / "cases.csv"), "--out", "m",
         "--preset", "tiny", "--network", "unet", "--weights", "imagenet", "--freeze", "2",
         "--epochs", "3", "--seed", "5", "--fold", "1", "--resume", "--device", "cpu", "--quiet",
         "--json"],
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    assert seen == {
        "system": "cardiomegaly",
        "cases": 2,
        "out": Path("m"),
        "options": TrainOptions(
            preset="tiny", network="unet", weights="imagenet", freeze=2, epochs=3, seed=5,
            resume=True, device="cpu", fold=1, quiet=True,
        ),
    }  # fmt: skip
    assert json.loads(outcome.stdout)["validation_score"] == 0.9


def test_evaluate(
    films: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = {
        "n": 2,
        "measures": {
            "auc": {"value": 0.98765, "low": 0.9, "high": 1.0, "n": 2, "method": "bootstrap"},
            "hd95": {"value": None, "low": None, "high": None, "n": 0, "method": "bootstrap"},
        },
        "verdicts": {"accepted": 1, "refused": 1},
    }
    seen: list[Any] = []

    def evaluate(
        model: Any, table: Any, split: Any, out: Path, options: Any, progress: Any, by: Any
    ) -> Any:
        seen.extend((model.name, len(table.cases), split, out))
        progress(1, 1)
        return report

    monkeypatch.setattr("radloop.evaluation.evaluate.evaluate", evaluate)
    (tmp_path / "cases.csv").write_text("case_id,patient_id,image\na,p,films/p1_a.png\n")
    arguments = ["evaluate", str(model_folder), "--cases", str(tmp_path / "cases.csv"),
                 "--out", str(tmp_path / "report")]  # fmt: skip
    outcome = run.invoke(app, [*arguments, "--split", "test"])
    assert outcome.exit_code == 3, outcome.output
    assert seen == ["toy", 1, "test", tmp_path / "report"]
    assert "0.9877" in outcome.stdout
    assert "n/a" in outcome.stdout
    assert json.loads(run.invoke(app, [*arguments, "--json"]).stdout) == report


def test_compare(tmp_path: Path) -> None:
    for name, better in (("a", 0.05), ("b", 0.0)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "report.json").write_text(
            json.dumps({"system": "cardiomegaly", "model": {"name": name}})
        )
        rows = [f"c{i},p{i},{0.9 + better - i / 100},accepted" for i in range(6)]
        text = "\n".join(["case_id,patient_id,dice_heart,verdict", *rows])
        (folder / "cases.csv").write_text(text + "\n")
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    outcome = run.invoke(app, ["compare", a, b, "--json", "--out", str(tmp_path / "page")])
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(outcome.stdout)["n"] == 6
    assert (tmp_path / "page" / "comparison.html").is_file()
    assert "95 % interval" in run.invoke(app, ["compare", a, b]).stdout
    margin = ["--margin", "0.01", "--margin", "heart_dice=0.02"]
    refused = run.invoke(app, ["compare", a, b, *margin])
    assert refused.exit_code == 2 and "no measure 'heart_dice'" in refused.stderr
    refused = run.invoke(app, ["compare", a, b, "--margin", "much"])
    assert refused.exit_code == 2 and "'much' is not a margin" in refused.stderr
