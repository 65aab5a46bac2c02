"""Mean waiting times of queues that have closed forms.

Rates are arrivals a unit of time, times are in that unit. Arrivals are Poisson, queues unbounded.
Waiting is everything but one's own service: time in the system minus service time. Classes stand in
order of priority, the first before all others; within a class it is first come, first served. A
class whose queue grows without end waits `math.inf`.

Sources: Erlang 1917; Pollaczek 1930 and Khinchine 1932; Cobham 1954 (Operations Research 2:70, with
the correction of 1955); Conway, Maxwell and Miller 1967, chapter 8, for the preemptive ones. All
are in Gross and Harris, "Fundamentals of Queueing Theory".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate


def erlang_c(servers: int, offered: float) -> float:
    """The probability that an arrival of M/M/c must wait; 1 where the load is not carried.

    offered: rate times mean service time, in Erlangs. Raises ValueError below one server and for
    a negative load.
    """
    if servers < 1 or not offered >= 0:
        raise ValueError(f"{servers} servers, {offered} Erlangs")
    if offered >= servers:
        return 1.0
    blocked = 1.0  # Erlang B, by its recursion: no factorials, no overflow
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def mm1(rate: float, mean: float) -> float:
    """M/M/1: exponential service times of this mean."""
    return mg1(rate, mean, 2 * mean * mean)


def mmc(rate: float, mean: float, servers: int) -> float:
    """M/M/c: exponential service times, several servers, one queue (Erlang)."""
    _check([rate], [mean])
    if rate * mean >= servers:
        return math.inf
    return erlang_c(servers, rate * mean) * mean / (servers - rate * mean)


def mg1(rate: float, mean: float, second: float) -> float:
    """M/G/1 (Pollaczek-Khinchine). second: the mean of the squared service time."""
    return cobham([rate], [mean], [second])[0]


def cobham(rates: Sequence[float], means: Sequence[float], seconds: Sequence[float]) -> list[float]:
    """M/G/1 with priorities that never interrupt a service (Cobham 1954).

    Where the classes together are too much for the server, the first class that is not carried
    takes all the time that those before it leave, and the classes behind it are never served.
    """
    _check(rates, means, seconds)
    loads = [rate * mean for rate, mean in zip(rates, means, strict=True)]
    residual, before = 0.0, 0.0
    for rate, mean, second, load in zip(rates, means, seconds, loads, strict=True):
        if before + load >= 1:
            residual += (1 - before) * second / (2 * mean) if before < 1 else 0.0
            break
        residual += rate * second / 2
        before += load
    return [
        residual / ((1 - sigma + load) * (1 - sigma)) if sigma < 1 else math.inf
        for sigma, load in zip(accumulate(loads), loads, strict=True)
    ]


def priority_mmc(rates: Sequence[float], mean: float, servers: int) -> list[float]:
    """M/M/c with priorities that never interrupt, one mean for all classes (Cobham 1954)."""
    _check(rates, [mean] * len(rates))
    all_busy = erlang_c(servers, sum(rates) * mean)
    loads = [rate * mean / servers for rate in rates]
    return [
        all_busy * mean / servers / ((1 - sigma + load) * (1 - sigma)) if sigma < 1 else math.inf
        for sigma, load in zip(accumulate(loads), loads, strict=True)
    ]


def preemptive_mg1(
    rates: Sequence[float], means: Sequence[float], seconds: Sequence[float]
) -> list[float]:
    """M/G/1 where a class interrupts those behind it, which resume where they were stopped.

    The wait of a mean service: it holds the interruptions, see `stretch`.
    """
    _check(rates, means, seconds)
    loads = [rate * mean for rate, mean in zip(rates, means, strict=True)]
    residuals = accumulate(rate * second / 2 for rate, second in zip(rates, seconds, strict=True))
    stretched = stretch(rates, means)
    return [
        residual / ((1 - sigma + load) * (1 - sigma)) + mean * longer if sigma < 1 else math.inf
        for sigma, load, residual, mean, longer in zip(
            accumulate(loads), loads, residuals, means, stretched, strict=True
        )
    ]


def stretch(rates: Sequence[float], means: Sequence[float]) -> list[float]:
    """How long a class is interrupted a unit of its service time, on one preemptive server."""
    _check(rates, means)
    loads = [rate * mean for rate, mean in zip(rates, means, strict=True)]
    before = [sigma - load for sigma, load in zip(accumulate(loads), loads, strict=True)]
    return [above / (1 - above) if above < 1 else math.inf for above in before]


def preemptive_mmc(rates: Sequence[float], mean: float, servers: int) -> list[float]:
    """M/M/c where a class interrupts those behind it; one mean for all classes.

    The first k classes together are M/M/c of their summed rate, since those behind do not exist
    for them; the differences of those queues (Little's law) are the classes.
    """
    _check(rates, [mean] * len(rates))
    waits, below, queue_below = [], 0.0, 0.0
    for rate in rates:
        together = below + rate
        queue = together * mmc(together, mean, servers) if together else 0.0
        waits.append((queue - queue_below) / rate if rate and queue < math.inf else
                     math.inf if queue == math.inf else mmc(together, mean, servers))  # fmt: skip
        below, queue_below = together, queue
    return waits


def _check(*columns: Sequence[float]) -> None:
    """ValueError for columns of different lengths and for what is negative or no number."""
    if len({len(column) for column in columns}) != 1 or not columns[0]:
        raise ValueError("one rate, one mean and one second moment a class")
    if any(not (math.isfinite(value) and value >= 0) for column in columns for value in column):
        raise ValueError(f"rates and times must be finite and not negative: {columns}")
