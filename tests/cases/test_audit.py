"""The audit finds each kind of problem, says which case has it, and finds none in a good table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from films import box_mask, film, save
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from radloop.cases.audit import audit, write_audit
from radloop.cases.audit_report import AuditReport
from radloop.cases.audit_rules import robust_z
from radloop.cases.case import Case, Reference
from radloop.cases.scan import scan_cases
from radloop.cases.sheet import draw_sheet
from radloop.cases.table import CaseTable, table_of
from radloop.images.write import write_png

# The patient's right lung lies on the left of the image.
BOXES = {
    "right_lung": (20, 30, 60, 130),
    "left_lung": (100, 30, 140, 130),
    "heart": (60, 90, 105, 135),
}
N = 12


@pytest.fixture
def table(tmp_path: Path) -> CaseTable:
    """Twelve good cases, two thirds for training, with three masks, a label and a value each."""
    cases = []
    for index in range(N):
        image = save(tmp_path / f"images/{index}.png", film(index))
        masks = {}
        for name, (x0, y0, x1, y1) in BOXES.items():
            moved = (x0 + index % 3, y0 - index % 4, x1 + index % 3, y1 - index % 5)
            masks[name] = save(tmp_path / name / f"{index}.png", box_mask(*moved))
        reference = Reference({"sick": index % 2 == 0}, masks, {"ctr": 0.45 + index / 100})
        split = "train" if index < 8 else "val"
        cases.append(Case(f"case{index}", f"patient{index}", {"image": image}, split, reference))
    return table_of(cases, tmp_path / "cases.csv")


def changed(table: CaseTable, index: int, **changes: object) -> CaseTable:
    cases = list(table.cases)
    cases[index] = replace(cases[index], **changes)  # type: ignore[arg-type]
    return replace(table, cases=tuple(cases))


def found(report: AuditReport) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {problem.code: (problem.level, problem.case_ids) for problem in report.problems}


def test_a_good_table_has_no_problems(table: CaseTable) -> None:
    done: list[tuple[int, int]] = []
    report = audit(table, progress=lambda *counts: done.append(counts))
    assert report.problems == () and report.ok
    assert done == [(index, N) for index in range(1, N + 1)]
    everything, train, _ = report.groups
    assert (everything.cases, train.cases, train.patients) == (12, 8, 8)
    assert train.labels == {"sick": {"positive": 4, "negative": 4, "unknown": 0}}
    assert train.values["ctr"] == pytest.approx(
        {"n": 8, "low": 0.45, "median": 0.485, "high": 0.52}
    )
    assert report.sizes == {"160 x 160 px": 12} and report.spacings == {"unknown": 12}


def test_the_facts_of_a_mask(table: CaseTable) -> None:
    save(table.cases[0].reference.masks["heart"], box_mask(10, 20, 50, 40))
    (heart,) = (m for m in scan_cases(table)[0].masks if m.structure == "heart")
    assert (heart.code, heart.fragments) == ("ok", 1)
    assert heart.area == pytest.approx(40 * 20 / 160**2)
    assert heart.centre == pytest.approx((30 / 160, 30 / 160))


def test_unreadable_and_missing_images(table: CaseTable) -> None:
    table.cases[3].image.write_bytes(b"")
    table.cases[5].image.unlink()
    whole = table.cases[7].image.read_bytes()
    table.cases[7].image.write_bytes(whole[: len(whole) // 2])
    report = audit(table)
    assert found(report) == {
        "empty_file": ("error", ("case3",)),
        "missing_file": ("error", ("case5",)),
        "truncated": ("error", ("case7",)),
    }
    assert not report.ok


def test_a_patient_in_two_splits_is_not_named(table: CaseTable) -> None:
    report = audit(changed(table, 11, patient_id="patient0"))
    assert found(report) == {"patient_in_two_splits": ("error", ("case0", "case11"))}
    assert "patient0" not in json.dumps(report.to_json())


def test_splits_that_are_missing(table: CaseTable) -> None:
    assert found(audit(changed(table, 4, split="")))["without_split"] == ("warning", ("case4",))
    unsplit = replace(table, cases=tuple(replace(case, split="") for case in table.cases))
    assert found(audit(unsplit)) == {"no_splits": ("note", ())}


def recompressed(source: Path, target: Path) -> None:
    picture = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(target), picture, [cv2.IMWRITE_PNG_COMPRESSION, 0])


def cropped(source: Path, target: Path) -> None:
    cv2.imwrite(str(target), cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)[5:-4, 4:-5])


def mirrored(source: Path, target: Path) -> None:
    cv2.imwrite(str(target), cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)[:, ::-1])


@pytest.mark.parametrize(
    ("copy", "code"),
    [
        (shutil.copy, "same_file"),
        (recompressed, "same_pixels"),
        (cropped, "near_duplicate"),
        (mirrored, "mirrored_copy"),
    ],
)
@pytest.mark.parametrize(("other", "across"), [(1, False), (9, True)])
def test_copies(
    table: CaseTable, copy: Callable[[Path, Path], object], code: str, other: int, across: bool
) -> None:
    unmasked = replace(
        table,
        cases=tuple(replace(case, reference=Reference()) for case in table.cases),
        columns=("case_id", "patient_id", "split", "image"),
    )
    copy(table.cases[0].image, table.cases[other].image)
    problems = found(audit(unmasked))
    problems.pop("mixed_sizes", None)  # the cropped film
    expected = f"{code}_across_splits" if across else code
    assert problems == {expected: ("error" if across else "warning", ("case0", f"case{other}"))}


@pytest.mark.parametrize(
    ("mask", "code", "level"),
    [
        (np.zeros((160, 160), np.uint8), "mask_empty", "warning"),
        (np.full((160, 160), 255, np.uint8), "mask_covers_image", "error"),
        (np.full((80, 80), 255, np.uint8), "mask_other_size", "error"),
        (np.arange(25600, dtype=np.uint8).reshape(160, 160) % 4, "mask_unknown_values", "error"),
        (box_mask(60, 90, 105, 135) * (np.indices((160, 160)).sum(0) % 9 < 2)
         * (np.indices((160, 160))[0] % 9 < 2).astype(np.uint8), "mask_fragmented", "warning"),
    ],
)  # fmt: skip
def test_impossible_masks(table: CaseTable, mask: np.ndarray, code: str, level: str) -> None:
    save(table.cases[6].reference.masks["heart"], mask)
    assert found(audit(table)) == {code: (level, ("case6",))}


def test_a_missing_mask(table: CaseTable) -> None:
    table.cases[6].reference.masks["heart"].unlink()
    assert found(audit(table)) == {"mask_missing_file": ("error", ("case6",))}


def exchange(case: Case, one: str, other: str) -> Case:
    masks = dict(case.reference.masks)
    masks[one], masks[other] = masks[other], masks[one]
    return replace(case, reference=replace(case.reference, masks=masks))


def test_exchanged_lungs_and_a_lung_called_heart(table: CaseTable) -> None:
    cases = list(table.cases)
    cases[2] = exchange(cases[2], "left_lung", "right_lung")
    cases[4] = exchange(cases[4], "heart", "left_lung")
    problems = found(audit(replace(table, cases=tuple(cases))))
    assert problems["sides_swapped"] == ("error", ("case2",))
    exchanged = [p.case_ids for p in audit(replace(table, cases=tuple(cases))).problems
                 if p.code == "masks_exchanged"]  # fmt: skip
    assert sorted(exchanged) == [("case2",), ("case4",)]


def test_labels_that_a_split_lacks(table: CaseTable) -> None:
    cases = tuple(
        replace(case, reference=replace(case.reference, labels={"sick": case.split == "train"}))
        for case in table.cases
    )
    report = audit(replace(table, cases=cases))
    assert [problem.code for problem in report.problems] == ["label_missing_in_split"] * 2
    only = tuple(
        replace(case, reference=replace(case.reference, labels={"sick": True})) for case in cases
    )
    assert found(audit(replace(table, cases=only))) == {"label_constant": ("warning", ())}


def test_values_that_are_odd_or_impossible(table: CaseTable) -> None:
    reference = replace(table.cases[1].reference, values={"ctr": 51.0})
    odd = changed(table, 1, reference=reference)
    assert found(audit(odd)) == {"value_outlier": ("warning", ("case1",))}
    assert found(audit(odd, ranges={"ctr": (0, 1)})) == {
        "value_out_of_range": ("error", ("case1",))
    }


def test_odd_images(table: CaseTable) -> None:
    save(table.cases[1].image, (film(1) // 8 + 215).astype(np.uint8))
    save(table.cases[2].image, cv2.resize(film(2), (96, 288)))
    table = changed(table, 2, reference=Reference())
    problems = found(audit(table))
    assert problems["brightness_outlier"] == ("warning", ("case1",))
    assert problems["contrast_outlier"] == ("warning", ("case1",))
    assert problems["aspect_outlier"] == ("warning", ("case2",))
    assert problems["mixed_sizes"] == ("note", ())


def test_the_files_of_the_audit(table: CaseTable, tmp_path: Path) -> None:
    table = changed(table, 0, case_id="<script>alert(1)</script>", patient_id="patient9")
    table.cases[3].image.write_bytes(b"")
    write_audit(audit(table), tmp_path / "check")
    content = json.loads((tmp_path / "check/check.json").read_text())
    assert content["cases"] == N and content["errors"] == 2 and not content["ok"]
    assert {p["code"] for p in content["problems"]} == {"empty_file", "patient_in_two_splits"}
    page = (tmp_path / "check/check.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;alert(1)" in page
    assert "data:image/jpeg;base64," in page and "http" not in page
    assert cv2.imread(str(tmp_path / "check/sheet.png")) is not None


def test_the_sheet_frames_what_is_flagged_and_draws_the_masks(table: CaseTable) -> None:
    scans = audit(table).scans
    plain = draw_sheet(scans, table.names("mask"))
    framed = draw_sheet(scans, table.names("mask"), {"case5"})
    bare = draw_sheet([replace(scan, mask_bits=None) for scan in scans], ())
    assert plain.shape == framed.shape and (plain != framed).any()
    second = np.array([86, 180, 233])
    assert (plain == second).all(-1).sum() > 100 * N > (bare == second).all(-1).sum()


def test_a_long_table_is_sampled_on_the_sheet(table: CaseTable) -> None:
    scans = audit(table).scans
    sheet = draw_sheet(scans * 50, ())
    assert sheet.shape[0] < 3500 and sheet.shape[1] < 3500


def test_sixteen_bit_films_are_audited_as_they_are_shown(table: CaseTable) -> None:
    deep = film(5).astype(np.uint16) * 257
    write_png(table.cases[5].image, deep)
    assert audit(table).problems == ()


@given(arrays(np.float64, st.integers(8, 40), elements=st.integers(-1000, 1000)))
def test_robust_z_does_not_depend_on_unit_or_offset(values: np.ndarray) -> None:
    z = robust_z(values)
    assert np.allclose(robust_z(values * 4 + 16), z, rtol=1e-6, atol=1e-6)
    # At least half of the values lie within one median absolute deviation, by its definition.
    assert (np.abs(z) <= 1 / 1.4826 + 1e-9).sum() >= len(values) / 2
