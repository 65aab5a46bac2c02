"""Rate limits: a bucket of permissions a key, refilled evenly (a token bucket).

In memory and of one process: a restart forgets, and each process counts for itself. What must
survive both, the wait after wrong passwords, is a column of the account.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True)
class Bucket:
    """left: permissions at the time `at` (s)."""

    left: float
    at: float


def take(bucket: Bucket | None, now: float, size: float, seconds: float) -> tuple[Bucket, float]:
    """One permission of a bucket that holds `size` and fills in `seconds`.

    Returns the bucket after it, and 0.0 or, when it was empty, the seconds until there is one.
    A clock that runs backwards refills nothing.
    """
    if bucket is None:
        bucket = Bucket(size, now)
    gained = max(0.0, now - bucket.at) * size / seconds
    left = min(size, bucket.left + gained)
    if left >= 1:
        return Bucket(left - 1, now), 0.0
    return Bucket(left, now), (1 - left) * seconds / size


class RateLimit:
    """`size` permissions in `seconds` for each key; the keys used last are kept, at most `keys`."""

    def __init__(self, size: int, seconds: float = 60.0, keys: int = 10_000) -> None:
        self.size, self.seconds, self.keys = size, seconds, keys
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str, now: float) -> float:
        """Take a permission: 0.0, or the seconds to wait."""
        with self._lock:
            bucket, wait = take(self._buckets.pop(key, None), now, self.size, self.seconds)
            self._buckets[key] = bucket
            while len(self._buckets) > self.keys:
                self._buckets.popitem(last=False)
        return wait
