"""The pipeline: read, prepare, run, interpret and finish many films, in order, in bounded memory.

Each worker thread takes a small chunk of films through all stages; two a core, so that one decodes
or writes while another waits for its network. At most `workers + 2` chunks are under way, however
long the list is.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from radloop.cases.case import Case
from radloop.images.image import Image
from radloop.images.verdict import Verdict
from radloop.inference.engine import Array, Engine
from radloop.systems.base import Interpretation
from radloop.systems.model import Model

T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """One film to read. `case` is set when it comes from a case table."""

    case_id: str
    patient_id: str
    path: Path
    case: Case | None = None

    @property
    def images(self) -> Mapping[str, Path]:
        """The files by channel."""
        return self.case.images if self.case else {"image": self.path}


@dataclass
class Result:
    """What came of one item. `image` and `interpretation` are None for an unreadable film."""

    item: Item
    verdict: Verdict
    image: Image | None = None
    interpretation: Interpretation | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def run_pipeline(
    model: Model,
    engine: Engine,
    items: Iterable[Item],
    finish: Callable[[Result], T],
    *,
    workers: int | None = None,
    settings: Mapping[str, Any] | None = None,
    even_out: bool = False,
) -> Iterator[T]:
    """Yield `finish(result)` for every item, in order; `finish` runs in the worker threads.

    settings: changes to the model's stored settings (for instance `{"members": 5}`). even_out: see
    `System.read`.
    """
    import cv2

    cv2.setNumThreads(1)  # the workers are the parallelism
    # Patches keep all cores busy; a second case is there to be read meanwhile.
    patches = model.system.in_patches
    workers = workers or (2 if patches else 2 * (os.cpu_count() or 1))
    merged = {**model.settings, **(settings or {})}

    def work(chunk: Sequence[Item]) -> list[T]:
        return [finish(result) for result in _chunk(model, engine, chunk, merged, even_out)]

    waiting = iter(items)
    under_way: deque[Future[list[T]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="radloop") as pool:
        try:
            while True:
                while len(under_way) < workers + 2:
                    chunk = list(islice(waiting, 1 if patches else engine.batch))
                    if not chunk:
                        break
                    under_way.append(pool.submit(work, chunk))
                if not under_way:
                    return
                yield from under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def _chunk(
    model: Model,
    engine: Engine,
    chunk: Sequence[Item],
    settings: Mapping[str, Any],
    even_out: bool,
) -> Iterator[Result]:
    results, films = [], []
    for item in chunk:
        start = time.perf_counter()
        reading = model.system.read_case(item.images, even_out)
        result = Result(item, reading.verdict, reading.image)
        if reading.image is not None:
            films.append(model.system.prepare(reading.image, model.size))
        result.seconds["read"] = time.perf_counter() - start
        results.append(result)
    start = time.perf_counter()
    outputs = iter(_answers(model, engine, films))
    network = (time.perf_counter() - start) / max(1, len(films))

    def look(film: Array, *stage: str) -> Array:
        return model.system.answer(film, engine.run, *stage)

    for result in results:
        start = time.perf_counter()
        if result.image is not None:
            result.interpretation = model.system.interpret(
                result.image, next(outputs), settings, look
            )
            result.verdict = result.verdict.merge(result.interpretation.verdict)
            result.seconds["network"] = network
        after = time.perf_counter() - start
        result.seconds["total"] = result.seconds["read"] + result.seconds.get("network", 0) + after
        yield result


def _answers(model: Model, engine: Engine, films: Sequence[Array]) -> Iterable[Array]:
    """The network's outputs: of films together, of what is read in patches one by one."""
    if model.system.in_patches:
        return [model.system.answer(film, engine.run) for film in films]
    return engine.run(np.stack(films)[:, None]) if films else ()
