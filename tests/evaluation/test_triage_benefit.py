"""Rooms without and with a model: what is drawn, who is read first, and the numbers of it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from radloop.evaluation.triage.benefit import benefit, over_loads, over_replications, simulate
from radloop.evaluation.triage.expected import expected_waits
from radloop.evaluation.triage.priority import reach_of_overtaking, with_model, without_model
from radloop.evaluation.triage.scenario import (
    DAY,
    Disease,
    Reading,
    Room,
    ScenarioError,
    Scores,
    Stream,
    TriageModel,
)
from radloop.evaluation.triage.studies import NOT_FLAGGED, draw

TEN = Reading(10)
BLEED = Disease("bleed", 0.1)
MODEL = TriageModel("bleed", 0.9, 0.8)
HEADS = Stream("head CT", TEN, 1.0, diseases=(BLEED,), models=(MODEL,))
TRAUMA = Stream("trauma", TEN, 0.2, emergency=True)


def room(*streams, load=0.8, **settings):
    settings = {"days": 150, "run_in": 10, "replications": 8} | settings
    return Room(streams or (HEADS,), **settings).at_load(load)


# What arrives.


def test_reading_times_have_their_mean_and_spread():
    uniform = (np.arange(100_000) + 0.5) / 100_000
    for reading in (
        Reading(7),
        Reading(7, "lognormal", 0.6),
        Reading(7, "constant"),
        Reading(4, "empirical", values=(1.0, 2.0, 9.0)),
    ):
        times = reading.times(uniform)
        assert times.mean() == pytest.approx(reading.mean, rel=1e-3)
        assert np.mean(times**2) == pytest.approx(reading.second, rel=0.01)


def test_studies_are_what_the_room_says():
    studies = draw(room(replace(HEADS, per_hour=30.0), TRAUMA, days=400, load=0.9))
    heads = studies.stream == 0
    ill, flagged = studies.disease == 0, studies.flagged
    n = heads.sum()
    assert n == pytest.approx(0.09 * 150 / 151 * 420 * DAY, rel=0.02)
    for share, among in (
        (ill[heads], 0.1),
        (flagged[heads & ill], MODEL.sensitivity),
        (~flagged[heads & ~ill], MODEL.specificity),
    ):
        assert stats.binomtest(int(share.sum()), share.size, among).pvalue > 0.001
    assert not flagged[~heads].any() and studies.emergency[~heads].all()
    assert stats.kstest(studies.work, stats.expon(scale=10).cdf).pvalue > 0.001
    gaps = np.diff(studies.arrival)
    assert stats.kstest(gaps, stats.expon(scale=gaps.mean()).cdf).pvalue > 0.001


def test_arrivals_follow_the_hours_and_the_weekdays():
    hours = tuple([0.0] * 8 + [2.0] * 8 + [1.0] * 8)
    stream = replace(HEADS, per_hour=6.0, hours=hours, weekdays=(1, 1, 1, 1, 1, 0, 0))
    made = Room((stream,), days=700, run_in=0, first_weekday=5)
    arrival = draw(made).arrival
    hour, day = arrival // 60 % 24, (arrival // DAY + 5) % 7
    assert arrival.size == pytest.approx(6 * 24 * 700, rel=0.02)
    assert day.max() == 4 and hour.min() == 8
    assert np.mean(hour < 16) == pytest.approx(2 / 3, abs=0.01)


def test_the_readers_and_the_order_change_nothing_that_arrives():
    one, other = (draw(room(readers=n, interrupt=i)) for n, i in ((1, "nobody"), (1, "flagged")))
    np.testing.assert_array_equal(one.arrival, other.arrival)
    np.testing.assert_array_equal(one.work, other.work)
    assert np.any(draw(room(), 1).work[:5] != one.work[:5])
    # Another stream leaves the numbers of this one as they are.
    with_trauma = draw(replace(room(), streams=(room().streams[0], TRAUMA)))
    np.testing.assert_array_equal(one.work, with_trauma.work[with_trauma.stream == 0])


def test_a_better_model_flags_the_same_studies_and_more():
    def flagged(sensitivity, specificity):
        model = TriageModel("bleed", sensitivity, specificity)
        return draw(room(replace(HEADS, models=(model,)))).flagged

    assert np.all(flagged(0.7, 0.8) <= flagged(0.9, 0.8))
    assert not flagged(0.0, 1.0).any()
    assert flagged(1.0, 0.0).all()


# Against theory.

MANY = {"days": 60, "run_in": 5, "replications": 20}


def agrees(made):
    """The benefit of a room, every mean wait of which lies within five standard errors of theory:
    beyond what a hundred comparisons of fixed seeds would miss by chance."""
    found, expected = benefit(made), expected_waits(made)
    for group in found.groups:
        for arm in ("without", "with"):
            mean = group.waits[arm]["mean"]
            error = (mean.high - mean.low) / 2 / stats.t.ppf(0.975, mean.n - 1)
            assert abs(mean.value - expected[group.name][arm]) < 5 * error + 1e-9, group.name
    return found


@pytest.mark.parametrize("interrupt", ["nobody", "flagged"])
@pytest.mark.parametrize("readers", [1, 3])
def test_the_simulation_agrees_with_the_closed_forms(readers, interrupt):
    made = room(HEADS, TRAUMA, readers=readers, interrupt=interrupt, load=0.7, **MANY)
    assert set(expected_waits(made)) == {group.name for group in agrees(made).groups}


def test_unequal_and_skewed_readings_agree_with_the_closed_forms():
    ill = Disease("bleed", 0.2, Reading(20, "lognormal", 0.6))
    heads = replace(HEADS, reading=Reading(6, "constant"), diseases=(ill,))
    for interrupt in ("nobody", "flagged"):
        made = room(
            heads, replace(TRAUMA, reading=Reading(4)), interrupt=interrupt, load=0.6, **MANY
        )
        agrees(made)


def test_qucads_example_by_hand():
    """Sensitivity 1, specificity .9, prevalence .1, ten minutes, load .8, one reader, preemptive:
    M/M/1 for the flagged (load .8 x .19), the mean over both classes stays that of all."""
    model = TriageModel("bleed", 1.0, 0.9)
    made = room(replace(HEADS, models=(model,)), interrupt="flagged")
    expected = expected_waits(made)
    load = 0.8 * (0.1 + 0.9 * 0.1)
    flagged = 10 * load / (1 - load)
    rest = (40 - 0.19 * flagged) / 0.81
    assert expected["diseased"] == pytest.approx({"without": 40.0, "with": flagged})
    assert expected["healthy"]["with"] == pytest.approx(0.1 * flagged + 0.9 * rest)
    assert expected["healthy"]["with"] == pytest.approx(44.245, abs=0.001)


def test_hierarchy_of_two_models():
    streams = [
        replace(HEADS, name=name, diseases=(Disease(name, 0.4),),
                models=(TriageModel(name, 0.9, 0.7, rank),))
        for rank, name in ((1, "A"), (2, "B"))
    ]  # fmt: skip
    made = room(*streams, by="ranks", interrupt="flagged", days=300)
    found, expected = benefit(made), expected_waits(made)
    first, second = (found.group(f"{name}: {name}") for name in "AB")
    assert first.saved.value > second.saved.value > 0
    for group in (first, second):
        mean = group.waits["with"]["mean"]
        assert mean.value == pytest.approx(expected[group.name]["with"], rel=0.1)


@pytest.mark.parametrize(
    "made",
    [
        room(by="scores", interrupt="nobody"),
        room(head_start=60.0, interrupt="nobody"),
        room(HEADS, TRAUMA),
        room(HEADS, replace(TRAUMA, reading=Reading(5)), readers=2, interrupt="flagged"),
        room(replace(HEADS, hours=tuple(range(24))), interrupt="flagged"),
    ],
)
def test_no_closed_form_is_claimed_where_there_is_none(made):
    assert expected_waits(made) == {}


# Who is read first.


def test_both_rooms_do_the_same_work():
    run = simulate(room(HEADS, TRAUMA, interrupt="flagged"))
    last = {arm: served.finish.max() for arm, served in run.served.items()}
    assert last["without"] == pytest.approx(last["with"])
    assert run.wait("with").min() >= 0


def test_a_model_that_flags_nobody_changes_nothing():
    silent = replace(HEADS, models=(TriageModel("bleed", 0.0, 1.0),))
    found = benefit(room(silent, days=20, replications=2))
    assert not found.has("flagged")
    for group in found.groups:
        assert group.saved.value == group.share_later.value == 0


def test_flagged_studies_gain_and_the_others_pay():
    found = benefit(room(interrupt="nobody", replications=4))
    assert found.group("flagged").saved.low > 0 > found.group("not flagged").saved.high
    assert found.group("missed").saved.high < 0
    assert found.group("flagged").share_later.value < 0.02
    assert found.group("diseased").waits["with"]["worst"].value > 0


@pytest.mark.parametrize("by", ["flags", "ranks", "scores"])
def test_ageing_holds_its_bound(by):
    for head_start in (15.0, 120.0):
        made = room(by=by, interrupt="nobody", head_start=head_start, days=60, replications=2)
        found = benefit(made)
        assert 0 < found.reach["with"] <= head_start
        assert found.reach["without"] == 0
    strict = benefit(replace(made, head_start=None))
    assert strict.reach["with"] > 120
    assert strict.group("diseased").saved.value > found.group("diseased").saved.value > 0


def test_an_endless_head_start_is_strict_priority():
    made = room(interrupt="nobody", days=30, replications=1)
    strict, aged = simulate(made), simulate(replace(made, head_start=1e9))
    np.testing.assert_allclose(strict.served["with"].start, aged.served["with"].start)


def test_emergencies_come_first_whatever_the_order():
    for settings in ({"by": "scores"}, {"by": "flags"}, {"head_start": 600.0}):
        made = room(HEADS, TRAUMA, **settings)
        studies = draw(made)
        for order in (without_model(made, studies), with_model(made, studies)):
            assert set(order.level[studies.emergency]) == {0}
            assert order.level[~studies.emergency].min() == 1
            assert order.interrupting == 1


def test_scores_put_the_most_probable_first():
    """Calibrated, higher where the disease is, and above the flag's cut exactly when flagged."""
    studies = draw(room(by="scores", interrupt="nobody", days=2000))
    ill = studies.disease == 0
    for low, high in ((0.0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 1.0)):
        here = (studies.score >= low) & (studies.score < high)
        assert ill[here].mean() == pytest.approx(studies.score[here].mean(), abs=0.02)
    assert studies.score[studies.flagged].min() >= studies.score[~studies.flagged].max()


def test_scores_of_an_evaluation_and_urgency():
    scores = Scores(np.array([0.3, 0.9]), np.array([0.0, 0.1, 0.2]))
    model = replace(MODEL, scores=scores)
    mild = Stream("hand", TEN, 1.0, diseases=(Disease("crack", 0.3, urgency=0.5),),
                  models=(TriageModel("crack", 0.9, 0.8, scores=scores),))  # fmt: skip
    studies = draw(room(replace(HEADS, models=(model,)), mild, by="scores", interrupt="nobody"))
    heads, ill = studies.stream == 0, studies.disease == 0
    assert set(studies.score[heads & ill]) == {0.3, 0.9}
    assert set(studies.score[heads & ~ill]) == {0.0, 0.1, 0.2}
    assert set(studies.score[~heads & ill]) == {0.15, 0.45}


def test_two_models_on_one_stream():
    """Each flags for its own disease; a study is of the better rank of those that flag it."""
    both = replace(
        HEADS,
        diseases=(BLEED, Disease("stroke", 0.2), Disease("tumour", 0.05)),
        models=(TriageModel("bleed", 1.0, 1.0, 2), TriageModel("stroke", 1.0, 0.5, 1)),
    )
    made = room(both, by="ranks", days=40, replications=2)
    studies = draw(made)
    assert set(studies.rank[studies.disease == 1]) == {1}
    assert set(studies.rank[studies.disease == 0]) == {1, 2}
    assert set(studies.rank[studies.disease == 2]) == {1, NOT_FLAGGED}
    found = benefit(made)
    assert found.has("other diseases") and found.has("head CT: tumour")
    assert found.group("diseased").n == pytest.approx(
        found.group("head CT: bleed").n + found.group("head CT: stroke").n
    )


# The numbers.


def test_the_worklist_obeys_littles_law():
    found = benefit(room(interrupt="nobody", days=200, replications=6))
    rate = 0.8 / 10
    for arm in ("without", "with"):
        waiting = found.queues[arm].waiting
        wait = found.group("all").waits[arm]["mean"].value
        assert waiting.value == pytest.approx(rate * wait, rel=0.05)
        assert found.queues[arm].by_clock.mean() == pytest.approx(waiting.value)
        assert found.queues[arm].longest > waiting.value


def test_overload_grows_without_end():
    made = room(load=1.2, days=20, run_in=0, replications=3, interrupt="flagged")
    found = benefit(made)
    # A fifth of the arrivals (1.2 / 10 a minute) has not been read when the days end.
    assert found.queues["with"].unread.value == pytest.approx(0.02 * 20 * DAY, rel=0.25)
    assert found.group("flagged").waits["with"]["mean"].value < 10
    assert expected_waits(made)["not flagged"]["with"] == np.inf
    assert expected_waits(made)["flagged"]["with"] < 10


def test_what_is_saved_rises_with_the_load():
    points = over_loads(room(days=60, replications=3), [0.3, 0.6, 0.9])
    saved = [one.value for _, one, _ in points]
    assert [load for load, _, _ in points] == [0.3, 0.6, 0.9]
    assert 0 < saved[0] < saved[1] < saved[2]
    assert all(healthy.value < 0 for _, _, healthy in points)


def test_the_ends_of_the_operating_points_intervals():
    model = TriageModel("bleed", 0.8, 0.7, sensitivity_interval=(0.6, 0.9))
    ends = room(replace(HEADS, models=(model,))).at_ends()
    assert [ends[name].streams[0].models[0].sensitivity for name in ("lower", "upper")] == [
        0.6,
        0.9,
    ]
    assert ends["lower"].streams[0].models[0].specificity == 0.7
    assert room().at_ends() == {}


def test_intervals_over_replications():
    found = over_replications([1.0, 2.0, 3.0])
    expected = stats.ttest_1samp([1.0, 2.0, 3.0], 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert np.isnan(over_replications([1.0]).low)


def test_the_intervals_cover():
    """Of 40 small experiments with known truth, no fewer than binomial chance allows miss."""
    made = room(interrupt="flagged", load=0.5, days=12, run_in=2, replications=8)
    truth = expected_waits(made)["diseased"]
    saved = truth["without"] - truth["with"]
    hits = 0
    for seed in range(40):
        interval = benefit(replace(made, seed=seed)).group("diseased").saved
        hits += interval.low <= saved <= interval.high
    assert stats.binomtest(hits, 40, 0.95, "less").pvalue > 0.001


def test_the_reach_leaves_emergencies_out():
    arrival, start = np.array([0.0, 1.0, 2.0]), np.array([5.0, 3.0, 1.0])
    emergency = np.array([False, False, True])
    assert reach_of_overtaking(arrival, start, emergency) == 1.0
    assert reach_of_overtaking(arrival, start, ~emergency) == 0.0
    assert reach_of_overtaking(arrival, start, np.ones(3, bool)) == 0.0


# What cannot be.


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Reading(0), "mean reading time, 0, is not above zero"),
        (lambda: Reading(float("nan")), "not above zero"),
        (lambda: Reading(5, "normal"), "cannot be 'normal'"),
        (lambda: Reading(5, cv=-1), "cv"),
        (lambda: Reading(5, "empirical"), "empirical"),
        (lambda: Reading(5, values=(1.0,)), "empirical"),
        (lambda: Disease("bleed", 1.5), "prevalence of 'bleed', 1.5, is not between 0 and 1"),
        (lambda: Disease("bleed", 0.5, urgency=-1), "urgency"),
        (lambda: TriageModel("bleed", 1.01, 0.5), "sensitivity for 'bleed', 1.01, is not between"),
        (lambda: TriageModel("bleed", 0.5, float("nan")), "specificity"),
        (lambda: TriageModel("bleed", 0.5, 0.5, 0), "rank 0"),
        (lambda: TriageModel("b", 0.5, 0.5, sensitivity_interval=(0.6, 0.9)), "interval"),
        (lambda: Stream("x", TEN), "arrivals an hour of 'x', 0, is not above zero"),
        (lambda: Stream("x", TEN, -1), "arrivals an hour"),
        (lambda: Stream("x", TEN, 1, times=(1.0,)), "both arrival times and a rate"),
        (lambda: Stream("x", TEN, 1, hours=(1.0,)), "24 weights"),
        (lambda: Stream("x", TEN, 1, weekdays=(0.0,) * 7), "7 weights"),
        (lambda: Stream("x", TEN, 1, diseases=(BLEED, BLEED)), "given twice"),
        (lambda: Stream("x", TEN, 1, models=(MODEL,)), "none of its diseases"),
        (lambda: replace(HEADS, models=(MODEL, MODEL)), "given twice"),
        (lambda: replace(HEADS, emergency=True), "emergency stream with a model"),
        (
            lambda: Stream("x", TEN, 1, diseases=(Disease("a", 0.6), Disease("b", 0.6))),
            "sum to more than 1",
        ),
        (lambda: Room(()), "no stream"),
        (lambda: Room((HEADS, HEADS)), "given twice"),
        (lambda: Room((HEADS,), readers=0), "'readers' is 0"),
        (lambda: Room((HEADS,), by="luck"), "cannot be 'luck'"),
        (lambda: Room((HEADS,), interrupt="all"), "cannot be 'all'"),
        (lambda: Room((HEADS,), head_start=0.0), "not above zero"),
        (lambda: Room((HEADS,), head_start=5.0, interrupt="flagged"), "head start"),
        (lambda: Room((HEADS,), by="scores", interrupt="flagged"), "By scores"),
        (lambda: Room((TRAUMA,), by="scores"), "no model"),
        (lambda: Room((HEADS,)).at_load(-1), "load, -1"),
        (lambda: Room((Stream("x", TEN, times=(1.0,)),)).at_load(0.5), "cannot be scaled"),
    ],
)
def test_impossible_rooms(make, says):
    with pytest.raises(ScenarioError, match=says):
        make()
