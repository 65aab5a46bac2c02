"""The strategies by name: `rank(pool, k, seed)` gives at most `k` picks, the most urgent first.

Two kinds. **Review** looks at items whose label is believed, for wrong ones: `errors`, `noise`.
**Informative** strategies choose among the items without a label (or, where every item has one,
among all): `random`, `uncertainty`, `disagreement`, `coreset`, `badge`, `representative`. To them
the labelled items of the pool are what is known already.

No batch holds near duplicates while there is anything else to ask (`batches.py`), as far as the
pool has features; the same pool, `k` and `seed` give the same picks.
"""

from __future__ import annotations

from collections.abc import Callable

from radloop.errors import InputError
from radloop.labelling.pool import Pick, Pool
from radloop.labelling.strategies.covering import badge, coreset, representative
from radloop.labelling.strategies.review import errors, noise
from radloop.labelling.strategies.scoring import disagreement, random, uncertainty

Strategy = Callable[[Pool, int, int], tuple[Pick, ...]]

REVIEW: dict[str, Strategy] = {"errors": errors, "noise": noise}
INFORMATIVE: dict[str, Strategy] = {
    "random": random,
    "uncertainty": uncertainty,
    "disagreement": disagreement,
    "coreset": coreset,
    "badge": badge,
    "representative": representative,
}
STRATEGIES: dict[str, Strategy] = REVIEW | INFORMATIVE


def get_strategy(name: str) -> Strategy:
    """The strategy of this name. Raises InputError for any other."""
    try:
        return STRATEGIES[name]
    except KeyError:
        raise InputError(
            f"There is no strategy '{name}'.", f"Known: {', '.join(STRATEGIES)}."
        ) from None
