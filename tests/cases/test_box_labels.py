"""Labels of images from the classes of their boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from radloop.cases.boxes.importing import import_yolo
from radloop.cases.table import read_cases
from radloop.errors import InputError
from radloop.images.write import write_png

CLASSES = ("wrist broken", "wrist whole", "elbow broken", "metal")
FILMS = {"a": (0,), "b": (2, 3), "c": (), "d": (0, 2), "e": (1,), "f": None}


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "labels").mkdir()
    for name, boxes in FILMS.items():
        write_png(tmp_path / f"images/{name}.png", np.full((40, 40), 9, np.uint8))
        if boxes is not None:
            rows = [f"{k} 0.5 0.5 0.2 0.2" for k in boxes]
            (tmp_path / f"labels/{name}.txt").write_text("\n".join(rows))
    listed = ", ".join(f"'{name}'" for name in CLASSES)
    (tmp_path / "data.yaml").write_text(f"nc: {len(CLASSES)}\nnames: [{listed}]\n")
    return tmp_path


def labels_of(folder: Path, **rules: str) -> tuple[dict, tuple]:
    by_class = {name.replace("__", ":"): rule for name, rule in rules.items()}
    report = import_yolo(
        folder / "images", folder / "labels", folder / "data.yaml", out=folder / "cases.csv",
        label="any", labels_by_class=by_class,
    )  # fmt: skip
    table = read_cases(folder / "cases.csv")
    return {case.case_id: dict(case.reference.labels) for case in table.cases}, report.notes


def test_a_label_is_one_where_a_box_is_of_the_class(folder):
    labels, _ = labels_of(folder, broken="wrist broken|elbow broken", metal="metal")
    assert labels["a"] == {"any": True, "broken": True, "metal": False}
    assert labels["b"] == {"any": True, "broken": True, "metal": True}
    assert labels["c"] == {"any": False, "broken": False, "metal": False}
    assert labels["f"] == {}


def test_one_answer_of_several_needs_a_box(folder):
    labels, notes = labels_of(
        folder, part__wrist="wrist broken|wrist whole", part__elbow="elbow broken"
    )
    assert labels["e"] == {"any": True, "part:wrist": True, "part:elbow": False}
    assert labels["b"] == {"any": True, "part:wrist": False, "part:elbow": True}
    assert labels["c"] == {"any": False}
    assert labels["d"] == {"any": True}  # two answers are none
    told = {note.code: note.names for note in notes}
    assert told["several_answers"] == ("d.png",)


def test_an_unknown_class_is_an_error(folder):
    with pytest.raises(InputError, match="class 'wrist'"):
        labels_of(folder, part__wrist="wrist")
