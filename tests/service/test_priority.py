"""The order of the list: pressing first, nobody starves, every row says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radloop.findings.codes import private_code
from radloop.findings.finding import Finding, ModelRef, Prediction
from radloop.images.verdict import refused, warned
from radloop.service.priority import (
    Judged,
    explanation,
    judge,
    most_pressing,
    order_key,
    priority,
    urgency_of,
)

DAY = datetime(2026, 1, 1, tzinfo=UTC)
SCORES = st.floats(0, 1)
HOURS = st.floats(0, 500)
AGEING = 24.0


def said(*findings: tuple[str, float, bool]) -> Prediction:
    """A prediction with these findings: name, probability, positive."""
    return Prediction(
        "c", "p", "s", ModelRef("m", "1", "0" * 64),
        findings=tuple(
            Finding(name, private_code("X", name), probability, positive, 0.5)
            for name, probability, positive in findings
        ),
    )  # fmt: skip


@given(SCORES, SCORES, HOURS, HOURS, st.floats(0, 100))
def test_the_order_is_that_of_the_priority_at_any_time(
    one: float, other: float, first: float, second: float, later: float
) -> None:
    a, b = (
        order_key(DAY + timedelta(hours=h), s, AGEING) for s, h in ((one, first), (other, second))
    )
    now = max(first, second) + later
    p, q = priority(one, now - first, AGEING), priority(other, now - second, AGEING)
    if abs(p - q) > 1e-6:
        assert (a < b) == (p > q)


@given(SCORES, SCORES, HOURS)
def test_nobody_is_passed_by_what_came_a_day_later(low: float, high: float, after: float) -> None:
    waiting = order_key(DAY, low, AGEING)
    newer = order_key(DAY + timedelta(hours=AGEING + after, seconds=1), high, AGEING)
    assert waiting < newer


@given(st.lists(SCORES, min_size=1, max_size=60), SCORES)
def test_a_list_that_is_always_full_still_serves_everybody(
    arrivals: list[float], mine: float
) -> None:
    """One study an hour comes in and one is read; mine is served within the bound."""
    waiting = {-1: order_key(DAY, mine, AGEING)}
    for hour in range(120):
        score = arrivals[hour % len(arrivals)]
        waiting[hour] = order_key(DAY + timedelta(hours=hour), score, AGEING)
        served = min(waiting, key=waiting.__getitem__)
        del waiting[served]
        if served == -1:
            # those that came within the ageing time may go first, one an hour
            assert hour <= AGEING + 1
            return
    pytest.fail("starved")


def test_urgency_times_probability() -> None:
    judged = judge(said(("intracranial_hemorrhage", 0.9, True), ("cardiomegaly", 1.0, True)))
    assert (judged.score, judged.urgency, judged.finding) == (0.9, 1.0, "intracranial_hemorrhage")
    assert judged.group == "positive" and "hemorrhage" in judged.reason.lower()


def test_the_urgency_may_be_set() -> None:
    findings = said(("cardiomegaly", 0.5, True))
    assert judge(findings).score == pytest.approx(0.5 * urgency_of("cardiomegaly"))
    assert judge(findings, {"cardiomegaly": 0.9}).score == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("name", "like"),
    [("subdural_hemorrhage", "intracranial_hemorrhage"), ("left_hip_fracture", "hip_fracture")],
)
def test_parts_of_a_finding_are_as_urgent_as_the_whole(name: str, like: str) -> None:
    assert urgency_of(name) == urgency_of(like)


def test_what_was_refused_stands_between_evidence_and_clear() -> None:
    unread = replace(said(), verdict=refused("x", "It cannot be read."))
    clear = judge(said(("intracranial_hemorrhage", 0.02, False))).score
    found = judge(said(("cardiomegaly", 0.9, True))).score
    assert clear < judge(unread).score < found
    assert judge(unread).group == "not read" and judge(unread).reason == "It cannot be read."


def test_what_the_system_leaves_open_is_not_clear() -> None:
    open_case = replace(
        said(("cardiomegaly", 0.01, False)), verdict=warned("grey_zone", "It cannot tell.")
    )
    assert judge(open_case).score == pytest.approx(0.4 * 0.1)
    assert judge(open_case).group == "grey zone"


def test_several_readings_come_to_the_most_pressing() -> None:
    worst = most_pressing(
        [
            Judged("positive", 0.4, 0.4, "Cardiomegaly.", "cardiomegaly"),
            Judged("grey zone", 1.0, 0.5, "Hemorrhage not excluded.", "intracranial_hemorrhage"),
            Judged("negative", 1.0, 0.0, "Nothing.", ""),
        ]
    )
    assert (worst.group, worst.score) == ("positive", 0.5)
    assert worst.reason == "Hemorrhage not excluded. Cardiomegaly."


def test_the_sentence_shows_the_arithmetic() -> None:
    text = explanation("Found.", 0.5, 0.25, 12, 24)
    assert text == "Found. Urgency 0.5 x probability 0.50 = 0.25; waiting 12.0 h adds 0.50."
    assert explanation("Found.", 1, 1, 0, 24, "last", "ada") == "Found. Put last by ada."
