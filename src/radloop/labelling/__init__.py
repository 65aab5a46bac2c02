"""Incremental labelling: which items a person should look at next, and what came of it.

A labelling **project** is a folder with an append-only log of events; its state is what
`replay.replay` makes of them. The model's view of the items is a `pool.Pool`; a **strategy**
(`labelling/strategies/`) is a pure function over it that says what to look at first::

    rank(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]

At most `k` picks, the most urgent first, no item twice; the same pool, `k` and `seed` give the same
picks. A strategy knows nothing of files, readers or of what was asked before: the project hands it
only items that may still be asked.
"""
