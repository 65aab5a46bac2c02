"""The worklist's rule, as properties."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from radloop.findings.finding import Code, Finding, Measurement, ModelRef, Prediction
from radloop.images.verdict import ACCEPTED, Verdict, refused, warned
from radloop.service.worklist import GREY, GROUPS, order, worklist_table, worklist_to_json

MODEL = ModelRef("cardiomegaly", "1", "00")
CODE = Code("CARDIOMEGALY", "99RADLOOP", "Cardiomegaly")


def finding(probability: float, value: float, threshold: float = 0.5) -> Finding:
    measured = Measurement("cardiothoracic_ratio", value, "1", value - 0.02, value + 0.02)
    positive = probability >= threshold
    return Finding("cardiomegaly", CODE, probability, positive, threshold, {}, measured)


def case(case_id: str, *found: Finding, verdict: Verdict = ACCEPTED) -> Prediction:
    return Prediction(case_id, case_id, "cardiomegaly", MODEL, verdict, found)


def lateral(case_id: str) -> Prediction:
    return case(case_id, verdict=refused("lateral", "This is a lateral film."))


findings = st.builds(finding, st.floats(0, 1), st.floats(0.3, 0.8), st.floats(0.05, 0.95))
verdicts = st.sampled_from(
    [
        ACCEPTED,
        warned("rotated", "Turned."),
        warned("grey_zone", "Near."),
        refused("lateral", "L."),
    ]
)
predictions = st.builds(
    lambda found, verdict: case("", *found, verdict=verdict),
    st.lists(findings, max_size=3),
    verdicts,
)
lists = st.lists(predictions, max_size=12).map(
    lambda cases: [
        Prediction(str(i), str(i), c.system, c.model, c.verdict, c.findings)
        for i, c in enumerate(cases)
    ]
)


@given(lists)
def test_every_case_exactly_once_with_ranks_from_one(cases: list[Prediction]) -> None:
    items = order(cases)
    assert sorted(item.prediction.case_id for item in items) == sorted(c.case_id for c in cases)
    assert [item.rank for item in items] == list(range(1, len(cases) + 1))


@given(lists)
def test_groups_come_in_their_order(cases: list[Prediction]) -> None:
    groups = [GROUPS.index(item.group) for item in order(cases)]
    assert groups == sorted(groups)


@given(lists)
def test_ordering_again_changes_nothing(cases: list[Prediction]) -> None:
    once = [item.prediction for item in order(cases)]
    assert [item.prediction for item in order(once)] == once


@given(lists, st.randoms())
def test_a_case_keeps_its_group_and_reason_in_any_company(
    cases: list[Prediction], random: object
) -> None:
    together = {item.prediction.case_id: (item.group, item.reason) for item in order(cases)}
    for one in cases:
        (alone,) = order([one])
        assert together[one.case_id] == (alone.group, alone.reason)


@given(lists)
def test_what_the_groups_mean(cases: list[Prediction]) -> None:
    for item in order(cases):
        said = item.prediction
        positive = any(f.positive for f in said.findings)
        if said.verdict.refused:
            assert item.group == "not read"
        elif positive:
            assert item.group == "positive"
            assert item.finding is not None and item.finding.positive
        elif item.group == "negative":
            assert all(f.probability < GREY for f in said.findings)


def test_most_urgent_first() -> None:
    cases = [
        case("clear", finding(0.01, 0.40)),
        lateral("lateral"),
        case("unsure", finding(0.30, 0.49)),
        case("likely", finding(0.80, 0.53)),
        case("certain, large", finding(0.999, 0.70)),
        case("certain", finding(1.0, 0.58)),
        case("nothing found"),
    ]
    assert [item.prediction.case_id for item in order(cases)] == [
        "certain, large",
        "certain",
        "likely",
        "unsure",
        "lateral",
        "clear",
        "nothing found",
    ]


def test_what_only_takes_stock_orders_nothing() -> None:
    there = Finding("tooth", Code("422653006", "SCT", "A tooth"), 0.99, True, 0.4)
    gone = Finding("missing_tooth", Code("TOOTH-MISSING", "99RADLOOP", "Missing"), 0.98, True, 0)
    caries = Finding("caries", Code("CARIES", "99RADLOOP", "Dental caries"), 0.6, True, 0.5)
    first, second = order([case("sound", there, gone), case("ill", there, caries, gone)])
    assert (first.prediction.case_id, first.group) == ("ill", "positive")
    assert first.reason == "Dental caries (probability 0.60)."
    assert (second.group, second.reason) == ("negative", "Nothing that calls for a reader.")


def test_what_a_system_does_not_judge_is_not_called_clear() -> None:
    metal = Finding("hip_metalwork", Code("HIP-METALWORK", "99RADLOOP", "Metal"), 0.99, True, 0.5)
    excluded = warned("metal", "There is metal in the right hip.")
    both, one, broken = (
        case("both", metal, metal, verdict=excluded),
        case("one", metal, finding(0.03, 0.4), verdict=excluded),
        case("broken", finding(0.7, 0.55)),
    )
    listed = order([both, one, broken])
    assert [item.prediction.case_id for item in listed] == ["broken", "one", "both"]
    assert [item.group for item in listed] == ["positive", "grey zone", "grey zone"]
    assert listed[2].reason == "Not judged. There is metal in the right hip."


def test_equal_cases_keep_their_order() -> None:
    same = [case(name, finding(0.7, 0.55)) for name in "cab"] + [lateral("z"), lateral("y")]
    assert [item.prediction.case_id for item in order(same)] == ["c", "a", "b", "z", "y"]


def test_the_systems_own_grey_zone_counts() -> None:
    unsure = case("a", finding(0.05, 0.47), verdict=warned("grey_zone", "Near the limit."))
    (item,) = order([unsure])
    assert item.group == "grey zone"
    assert "not excluded" in item.reason
    assert "Near the limit." in item.reason


def test_no_probability_is_said_to_be_certain() -> None:
    high, low = order([case("a", finding(0.9999, 0.7)), case("b", finding(0.0, 0.4))])
    assert high.reason == "Cardiomegaly (probability above 0.99)."
    assert low.reason == "No cardiomegaly (probability of it below 0.01)."


def test_the_reason_of_a_refusal_is_the_verdicts() -> None:
    (item,) = order([lateral("a")])
    assert item.reason == "This is a lateral film."


def test_the_table_shows_ids_as_they_are() -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(worklist_table(order([case("[red]a[/red]", finding(0.9, 0.6)), lateral("b")])))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]a[/red]" in text
    assert "0.600 (0.580-0.620)" in text
    assert "This is a lateral film." in text


def test_as_json() -> None:
    first, second = worklist_to_json(order([lateral("b"), case("a", finding(0.9, 0.6))]))
    assert (first["rank"], first["group"], first["case_id"]) == (1, "positive", "a")
    assert (second["rank"], second["group"], second["verdict"]["code"]) == (
        2,
        "not read",
        "lateral",
    )
    assert first["findings"][0]["measurement"]["value"] == 0.6
