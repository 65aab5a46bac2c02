"""Readers and a queue: the rules that every schedule must keep, on schedules of all kinds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radloop.evaluation.triage.priority import reach_of_overtaking
from radloop.evaluation.triage.queue import Order, serve
from radloop.evaluation.triage.theory import cobham

halves = st.integers(0, 40).map(lambda n: n / 2)


@st.composite
def rooms(draw, levels=3, interrupting=3):
    """(arrival, work, order, readers) with many ties."""
    n = draw(st.integers(1, 15))
    arrival = np.sort(draw(st.lists(halves, min_size=n, max_size=n)))
    work = np.array(draw(st.lists(st.integers(1, 12).map(lambda w: w / 2), min_size=n, max_size=n)))
    level = np.array(draw(st.lists(st.integers(0, levels - 1), min_size=n, max_size=n)))
    order = Order(level, arrival, draw(st.integers(0, interrupting)))
    return arrival, work, order, draw(st.integers(1, 3))


def in_service(spells, when):
    return [study for study, begin, end in spells if begin <= when < end]


@given(rooms())
def test_every_schedule_is_possible(room):
    """Everything is read whole, not before it came, and by no more readers than there are; nobody
    is idle while a study waits."""
    arrival, work, order, readers = room
    served = serve(arrival, work, order, readers, spells=True)
    assert np.all(served.start >= arrival)
    read = np.zeros(work.size)
    for study, begin, end in served.spells:
        read[study] += end - begin
        assert arrival[study] <= begin <= end <= served.finish[study]
    np.testing.assert_allclose(read, work)
    times = np.unique([*arrival, *served.finish, *(b for _, b, _ in served.spells)])
    for when in (times[:-1] + times[1:]) / 2:
        now = in_service(served.spells, when)
        present = int(np.sum((arrival <= when) & (served.finish > when)))
        assert len(now) == len(set(now)) == min(readers, present)


@given(rooms())
def test_the_better_place_is_read_first(room):
    """Whenever a reading begins, no study that was waiting before that had a better place."""
    arrival, work, order, readers = room
    served = serve(arrival, work, order, readers, spells=True)
    place = np.lexsort((np.arange(arrival.size), order.key, order.level)).argsort()
    for study, begin, _ in served.spells:
        waits = (arrival < begin) & (served.finish > begin)
        waits[[s for s, b, e in served.spells if b <= begin < e]] = False
        waits[[s for s, b, e in served.spells if e == begin]] = False  # stopped at this moment
        assert np.all(place[waits] > place[study])


@given(rooms())
def test_first_come_first_served_within_a_level(room):
    arrival, work, order, readers = room
    served = serve(arrival, work, order, readers)
    for level in np.unique(order.level):
        assert np.all(np.diff(served.start[order.level == level]) >= 0)


@given(rooms())
def test_only_a_better_level_that_may_interrupts(room):
    arrival, work, order, readers = room
    served = serve(arrival, work, order, readers, spells=True)
    for study, _, end in served.spells:
        if end == served.finish[study]:
            continue
        by = [s for s, begin, _ in served.spells if begin == end == arrival[s]]
        assert any(order.level[s] < min(order.interrupting, order.level[study]) for s in by)


@given(rooms())
def test_the_order_changes_no_work(room):
    """One reader is done with all at the same moment, and has as much left at any other."""
    arrival, work, order, _ = room
    plain = Order(np.zeros(arrival.size, np.intp), arrival)
    both = [serve(arrival, work, o, 1, spells=True) for o in (order, plain)]
    for when in np.unique(arrival):
        done = [sum(min(e, when) - b for _, b, e in s.spells if b < when) for s in both]
        assert done[0] == pytest.approx(done[1])
    assert both[0].finish.max() == both[1].finish.max()


@given(rooms(levels=2, interrupting=0), st.sampled_from([0.5, 3.0, 10.0]))
def test_ageing_bounds_who_overtakes_and_how_long_one_waits(room, head_start):
    """A lead of h minutes overtakes only studies at most h older. So a study waits no longer than
    the readers, all of them busy, need for what was in the room when it came and what overtook."""
    arrival, work, order, readers = room
    lead = np.where(order.level == 0, head_start, 0.0)
    aged = Order(np.zeros(arrival.size, np.intp), arrival - lead)
    served = serve(arrival, work, aged, readers, spells=True)
    nobody = np.zeros(arrival.size, bool)
    assert reach_of_overtaking(arrival, served.start, nobody) <= head_start
    for study, came in enumerate(arrival):
        there = [j for j in range(arrival.size) if j < study and served.finish[j] > came]
        left = sum(min(work[j], served.finish[j] - came) for j in there)
        later = [
            j
            for j in range(arrival.size)
            if j > study
            and arrival[j] <= came + head_start
            and served.start[j] < served.start[study]
        ]
        assert served.start[study] - came <= (left + sum(work[later])) / readers + 1e-9


def test_without_ageing_the_reach_is_unbounded():
    arrival = np.arange(0.0, 100.0)
    level = (np.arange(100) == 5).astype(np.intp)
    served = serve(arrival, np.ones(100), Order(level, arrival), 1)
    assert reach_of_overtaking(arrival, served.start, np.zeros(100, bool)) == 0
    busy = serve(arrival, np.full(100, 1.5), Order(level, arrival), 1)
    assert reach_of_overtaking(arrival, busy.start, np.zeros(100, bool)) == 99 - 5


def test_a_resumed_reading_goes_on_where_it_stopped():
    arrival, work = np.array([0.0, 4.0, 5.0]), np.array([10.0, 3.0, 2.0])
    order = Order(np.array([1, 0, 1]), arrival, 1)
    served = serve(arrival, work, order, 1, spells=True)
    assert served.spells == [(0, 0.0, 4.0), (1, 4.0, 7.0), (0, 7.0, 13.0), (2, 13.0, 15.0)]
    assert served.start.tolist() == [0.0, 4.0, 13.0]


def test_the_last_in_the_order_is_stopped():
    arrival, work = np.array([0.0, 1.0, 2.0]), np.array([10.0, 10.0, 1.0])
    order = Order(np.array([1, 1, 0]), arrival, 1)
    assert serve(arrival, work, order, 2).finish.tolist() == [10.0, 12.0, 3.0]


def test_an_overloaded_reader_leaves_the_first_class_cobhams_wait():
    rng = np.random.default_rng(5)
    n = 100_000
    arrival, work = np.cumsum(rng.exponential(1 / 1.3, n)), rng.exponential(1.0, n)
    level = (rng.random(n) > 0.5 / 1.3).astype(np.intp)
    served = serve(arrival, work, Order(level, arrival), 1)
    first = (level == 0) & (arrival < arrival[-1])
    expected = cobham([0.5, 0.8], [1.0, 1.0], [2.0, 2.0])[0]
    assert (served.start - arrival)[first].mean() == pytest.approx(expected, rel=0.04)


def test_nothing_arrives():
    empty = np.empty(0)
    served = serve(empty, empty, Order(np.empty(0, np.intp), empty), 1)
    assert served.start.size == served.finish.size == 0


@pytest.mark.parametrize(
    ("arrival", "work", "readers"), [([1, 0], [1, 1], 1), ([0], [-1], 1), ([0], [1], 0)]
)
def test_what_is_no_room(arrival, work, readers):
    arrival, work = np.array(arrival, float), np.array(work, float)
    order = Order(np.zeros(arrival.size, np.intp), arrival)
    with pytest.raises(ValueError):
        serve(arrival, work, order, readers)
