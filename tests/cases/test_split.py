"""Splits: a patient stays whole, sizes are near their shares, the result repeats."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.cases.case import Case, Reference
from radloop.cases.split import split_cases
from radloop.cases.table import CaseTable, table_of
from radloop.errors import InputError

PATH = Path("cases.csv")
patient_sizes = st.lists(st.integers(1, 5), min_size=5, max_size=40)


def table(sizes: Sequence[int], positives: int = 0) -> CaseTable:
    """A table with patients of these sizes, the first of them positive."""
    cases = [
        Case(
            f"{patient}-{index}",
            f"p{patient}",
            {"image": Path(f"{patient}-{index}.png")},
            reference=Reference(labels={"sick": patient < positives}, values={"ctr": patient / 10}),
        )
        for patient, size in enumerate(sizes)
        for index in range(size)
    ]
    return table_of(cases, PATH)


def by_case(split: CaseTable) -> dict[str, str]:
    return {case.case_id: case.split for case in split.cases}


@settings(max_examples=60, deadline=None)
@given(patient_sizes, st.integers(2, 5), st.integers(0, 99))
def test_folds_keep_patients_whole_and_are_nearly_equal(
    sizes: list[int], folds: int, seed: int
) -> None:
    split = split_cases(table(sizes), folds=folds, seed=seed)
    splits = defaultdict(set)
    for case in split.cases:
        splits[case.patient_id].add(case.split)
    assert all(len(names) == 1 for names in splits.values())
    counts = Counter(case.split for case in split.cases)
    assert set(counts) == {f"fold{index}" for index in range(folds)}
    assert max(counts.values()) < sum(sizes) / folds + max(sizes)


@settings(max_examples=60, deadline=None)
@given(patient_sizes, st.integers(0, 99))
def test_fractions_are_near(sizes: list[int], seed: int) -> None:
    split = split_cases(table(sizes), fractions=(0.7, 0.15, 0.15), seed=seed)
    counts = Counter(case.split for case in split.cases)
    assert set(counts) == {"train", "val", "test"}
    for name, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        assert counts[name] < share * sum(sizes) + max(sizes)


@settings(max_examples=40, deadline=None)
@given(patient_sizes, st.randoms(use_true_random=False), st.integers(0, 99))
def test_the_order_of_the_rows_does_not_matter(sizes: list[int], random: object, seed: int) -> None:
    ordered = table(sizes, positives=2)
    cases = list(ordered.cases)
    random.shuffle(cases)  # type: ignore[attr-defined]
    shuffled = replace(ordered, cases=tuple(cases))
    options = {"fractions": (0.6, 0.4), "stratify": "sick", "seed": seed}
    assert by_case(split_cases(ordered, **options)) == by_case(split_cases(shuffled, **options))


@pytest.mark.parametrize("stratify", ["sick", "label:sick", "value:ctr>9.95", "value:ctr > 9.95"])
@pytest.mark.parametrize("seed", range(4))
def test_strata_are_divided_like_the_whole(stratify: str, seed: int) -> None:
    # 30 of 130 patients are positive by the label, and 30 of 130 have a value above 9.95.
    split = split_cases(
        table([1] * 130, positives=30), fractions=(0.7, 0.15, 0.15), stratify=stratify, seed=seed
    )
    sick = Counter(
        case.split
        for case in split.cases
        if (
            case.reference.values["ctr"] > 9.95
            if "ctr" in stratify
            else case.reference.labels["sick"]
        )
    )
    assert abs(sick["train"] - 21) <= 1 and abs(sick["val"] - 4.5) <= 1.5
    assert sum(sick.values()) == 30
    assert Counter(case.split for case in split.cases)["train"] == 91


@pytest.mark.parametrize("seed", range(4))
def test_large_patients_do_not_unbalance_the_folds(seed: int) -> None:
    split = split_cases(table([1] * 25 + [15]), folds=2, seed=seed)
    assert Counter(case.split for case in split.cases) == {"fold0": 20, "fold1": 20}


def test_another_seed_is_another_split() -> None:
    whole = table([1] * 50)
    first, again, other = (split_cases(whole, folds=2, seed=seed) for seed in (0, 0, 1))
    assert by_case(first) == by_case(again) != by_case(other)


def test_two_fractions_and_the_new_column() -> None:
    split = split_cases(table([1] * 10), fractions=(0.8, 0.2))
    assert Counter(case.split for case in split.cases) == {"train": 8, "val": 2}
    assert split.columns[:3] == ("case_id", "patient_id", "split")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either folds or fractions"),
        ({"folds": 2, "fractions": (0.5, 0.5)}, "either folds or fractions"),
        ({"folds": 1}, "no split"),
        ({"fractions": (0.5, 0.4)}, "no split"),
        ({"fractions": (1.2, -0.2)}, "no split"),
        ({"fractions": ()}, "no split"),
        ({"folds": 2, "stratify": "tall"}, "no label 'tall'.*sick"),
        ({"folds": 2, "stratify": "value:bmi>3"}, "no value 'bmi'.*ctr"),
        ({"folds": 2, "stratify": "value:ctr>x"}, "'x' is not a number"),
        ({"folds": 6}, "5 patients cannot be split into 6"),
    ],
)
def test_wrong_calls(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_cases(table([1] * 5), **options)  # type: ignore[arg-type]
