"""The closed forms against exact fractions, laws that must hold, and Markov chains solved whole."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import spsolve

from radloop.evaluation.triage.theory import (
    cobham,
    erlang_c,
    mg1,
    mm1,
    mmc,
    preemptive_mg1,
    preemptive_mmc,
    priority_mmc,
    stretch,
)


def exponential(means):
    """Second moments of exponential times."""
    return [2 * mean * mean for mean in means]


def stationary(states, moves):
    """The stationary distribution of a chain: state -> [(next state, rate)], by a linear solve."""
    index = {state: k for k, state in enumerate(states)}
    flows = [
        (index[to], index[state], rate)
        for state in states
        for to, rate in moves(state)
        if to in index and rate
    ]
    to, start, rate = (np.array(column) for column in zip(*flows, strict=True))
    n = len(states)
    balance = sparse.coo_array((rate, (to, start)), (n, n)).tolil()
    balance.setdiag(-np.bincount(start, rate, n))
    balance[0] = np.ones(n)  # the balances sum to zero, so one gives way to the sum of all shares
    return spsolve(balance.tocsc(), np.eye(1, n)[0])


def preemptive_chain(rates, means, servers, most):
    """Mean waits of two preemptive classes with at most `most` of each in the room."""

    def moves(state):
        high, low = state
        first = min(high, servers)
        second = min(low, servers - first)
        yield (high + 1, low), rates[0]
        yield (high, low + 1), rates[1]
        yield (high - 1, low), first / means[0]
        yield (high, low - 1), second / means[1]

    states = list(itertools.product(range(most + 1), repeat=2))
    share = stationary(states, moves)
    present = share @ np.array(states)
    return [n / rate - mean for n, rate, mean in zip(present, rates, means, strict=True)]


def priority_chain(rates, means, servers, most):
    """Mean waits of two classes that do not interrupt; states are (waiting, waiting, high in
    service, low in service)."""

    def moves(state):
        q0, q1, s0, s1 = state
        for k in (0, 1):
            if s0 + s1 < servers:
                yield (q0, q1, s0 + (k == 0), s1 + (k == 1)), rates[k]
            else:
                yield (q0 + (k == 0), q1 + (k == 1), s0, s1), rates[k]
        for busy, mean, after in ((s0, means[0], (s0 - 1, s1)), (s1, means[1], (s0, s1 - 1))):
            if q0:
                yield (q0 - 1, q1, after[0] + 1, after[1]), busy / mean
            elif q1:
                yield (q0, q1 - 1, after[0], after[1] + 1), busy / mean
            else:
                yield (q0, q1, *after), busy / mean

    partly = [(0, 0, a, b) for a in range(servers) for b in range(servers - a)]
    full = [
        (q0, q1, a, servers - a)
        for q0 in range(most)
        for q1 in range(most)
        for a in range(servers + 1)
    ]
    states = [*partly, *full]
    share = stationary(states, moves)
    waiting = share @ np.array(states)[:, :2]
    return [n / rate for n, rate in zip(waiting, rates, strict=True)]


# Without priorities.


def test_erlang_c_is_the_textbook_fraction():
    assert erlang_c(1, 0.3) == pytest.approx(0.3)
    assert erlang_c(2, 1) == pytest.approx(1 / 3)
    assert erlang_c(5, 4) == pytest.approx(128 / 231)
    assert erlang_c(3, 3) == erlang_c(3, 7) == 1.0
    assert erlang_c(4, 0) == 0.0


@given(st.integers(1, 12), st.integers(1, 99))
def test_erlang_c_by_its_definition(servers, percent):
    offered = Fraction(percent * servers, 100)
    last = offered**servers / math.factorial(servers) / (1 - offered / servers)
    first = sum(offered**k / math.factorial(k) for k in range(servers))
    assert erlang_c(servers, float(offered)) == pytest.approx(float(last / (first + last)))


def test_erlang_c_of_many_servers_does_not_overflow():
    assert 0 < erlang_c(1000, 990) < 1


def test_single_server():
    assert mm1(0.08, 10) == pytest.approx(0.8 / (1 - 0.8) * 10)
    assert mg1(0.08, 10, 100) == pytest.approx(mm1(0.08, 10) / 2)  # M/D/1 waits half as long
    assert mmc(0.08, 10, 1) == pytest.approx(mm1(0.08, 10))
    assert mm1(0.1, 10) == mmc(0.3, 10, 3) == math.inf
    assert mm1(0.0, 10) == 0.0


@pytest.mark.parametrize("servers", [1, 2, 4])
def test_mmc_by_the_birth_and_death_chain(servers):
    rate, mean = 0.7 * servers, 1.0
    n = np.arange(400)
    steps = rate * mean / np.minimum(n[1:], servers)
    share = np.concatenate([[1.0], np.cumprod(steps)])
    share /= share.sum()
    assert mmc(rate, mean, servers) == pytest.approx(share @ n / rate - mean)


# With priorities.


@pytest.mark.parametrize("servers", [1, 2, 3])
def test_preemptive_classes_of_one_mean_by_the_chain(servers):
    rates = [0.2 * servers, 0.3 * servers]
    exact = preemptive_chain(rates, [1.0, 1.0], servers, 34)
    assert preemptive_mmc(rates, 1.0, servers) == pytest.approx(exact, rel=1e-6)


def test_preemptive_classes_of_unequal_means_by_the_chain():
    rates, means = [0.2, 0.25], [0.7, 1.6]
    exact = preemptive_chain(rates, means, 1, 34)
    assert preemptive_mg1(rates, means, exponential(means)) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("servers", [1, 2])
def test_classes_that_do_not_interrupt_by_the_chain(servers):
    rates = [0.2 * servers, 0.3 * servers]
    exact = priority_chain(rates, [1.0, 1.0], servers, 22)
    assert priority_mmc(rates, 1.0, servers) == pytest.approx(exact, rel=1e-5)


def test_cobham_by_the_chain():
    rates, means = [0.2, 0.25], [0.7, 1.6]
    exact = priority_chain(rates, means, 1, 30)
    assert cobham(rates, means, exponential(means)) == pytest.approx(exact, rel=1e-4)


def test_one_class_is_the_plain_queue():
    for several in (priority_mmc, preemptive_mmc):
        assert several([1.4], 1.0, 2) == pytest.approx([mmc(1.4, 1.0, 2)])
    assert preemptive_mg1([0.5], [1.0], [3.0]) == pytest.approx([mg1(0.5, 1.0, 3.0)])


classes = st.lists(
    st.tuples(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(1, 4)), min_size=1, max_size=5
)


@given(classes, st.floats(0.05, 0.95))
def test_kleinrocks_conservation_law(drawn, load):
    """The order cannot change the mean unfinished work: sum rho_k W_k = rho R / (1 - rho)."""
    means = [mean for _, mean, _ in drawn]
    scale = load / sum(rate * mean for rate, mean, _ in drawn)
    rates = [rate * scale for rate, _, _ in drawn]
    seconds = [spread * mean**2 for _, mean, spread in drawn]
    residual = sum(r * s for r, s in zip(rates, seconds, strict=True)) / 2
    waits = cobham(rates, means, seconds)
    work = sum(r * m * w for r, m, w in zip(rates, means, waits, strict=True))
    assert work == pytest.approx(load * residual / (1 - load))
    assert waits == sorted(waits)


@given(classes, st.floats(0.05, 0.95), st.integers(1, 5))
def test_equal_exponential_times_share_one_mean_wait(drawn, load, servers):
    """With exponential times of one mean no order that ignores them changes the mean wait."""
    total = sum(rate for rate, _, _ in drawn)
    rates = [rate / total * load * servers for rate, _, _ in drawn]
    for waits in (priority_mmc(rates, 1.0, servers), preemptive_mmc(rates, 1.0, servers)):
        mean = sum(r * w for r, w in zip(rates, waits, strict=True)) / sum(rates)
        assert mean == pytest.approx(mmc(sum(rates), 1.0, servers), rel=1e-6, abs=1e-12)


def test_one_preemptive_server_two_ways():
    rates = [0.2, 0.1, 0.3]
    both = preemptive_mg1(rates, [1.0] * 3, exponential([1.0] * 3))
    assert preemptive_mmc(rates, 1.0, 1) == pytest.approx(both)


def test_interruptions_stretch_a_reading():
    assert stretch([0.25, 0.5], [2.0, 0.1]) == pytest.approx([0.0, 1.0])
    assert stretch([0.6, 0.1], [2.0, 1.0])[1] == math.inf


# Overload.


def test_overload_leaves_the_first_classes_their_wait():
    means = [1.0, 1.0]
    waits = preemptive_mg1([0.5, 0.7], means, exponential(means))
    assert waits == [pytest.approx(1.0), math.inf]
    assert preemptive_mmc([1.0, 2.0], 1.0, 2) == [pytest.approx(mmc(1.0, 1.0, 2)), math.inf]
    # A server that is never idle: the first class waits for what is under way, whoever's it is.
    waits = cobham([0.5, 0.7, 0.1], [1.0] * 3, exponential([1.0] * 3))
    assert waits == [pytest.approx(1.0 / (1 - 0.5)), math.inf, math.inf]
    assert priority_mmc([1.0, 2.0], 1.0, 2) == [pytest.approx(0.5 / 0.5), math.inf]


@pytest.mark.parametrize(
    "call",
    [
        lambda: erlang_c(0, 1),
        lambda: erlang_c(2, -1),
        lambda: erlang_c(2, math.nan),
        lambda: cobham([1.0], [0.5, 0.5], [1.0]),
        lambda: cobham([], [], []),
        lambda: mm1(-1, 1),
        lambda: mmc(0.1, math.inf, 1),
        lambda: preemptive_mmc([0.1], math.nan, 1),
    ],
)
def test_what_is_no_queue(call):
    with pytest.raises(ValueError):
        call()
