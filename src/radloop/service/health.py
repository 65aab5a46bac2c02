"""Is the service alive, is it ready, and its numbers for Prometheus.

The numbers are counted in the database when they are asked for, so that they are right whichever
process died in between. Their labels are names from the settings: nothing of a patient.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, text

from radloop.errors import RadloopError
from radloop.service.store import jobs
from radloop.service.store.database import Store
from radloop.service.store.schema import Blob, Correction, Job, Result, Study, utc_now

LEAST_FREE = 1 << 30
"""Bytes: with less room on the disk the service is not ready, since it could not keep a study."""


@dataclass(frozen=True)
class Check:
    """One condition of being ready."""

    name: str
    ok: bool
    says: str


def ready(store: Store, least_free: int = LEAST_FREE) -> list[Check]:
    """What the service needs to work; it is ready when every check is ok."""
    return [_database(store), _disk(store, least_free), _queue(store)]


def _database(store: Store) -> Check:
    try:
        with store.reading() as session:
            session.execute(text("SELECT 1"))
    except RadloopError as error:
        return Check("database", False, error.what)
    return Check("database", True, "reached")


def _disk(store: Store, least_free: int) -> Check:
    try:
        free = shutil.disk_usage(store.blobs.folder).free
    except OSError:
        return Check("disk", False, "the folder of files is gone")
    return Check("disk", free >= least_free, f"{free >> 20} MiB free")


def _queue(store: Store) -> Check:
    """Claims that nobody renews mean that their workers are gone and none took over."""
    late = utc_now() - timedelta(seconds=2 * store.settings.worker.lease)
    try:
        with store.reading() as session:
            stuck = session.scalar(
                select(func.count()).where(Job.state == "running", Job.lease_until < late)
            )
    except RadloopError as error:
        return Check("workers", False, error.what)
    return Check("workers", not stuck, f"{stuck or 0} claims without a worker")


class Numbers:
    """A collector for `prometheus_client`: register it, or use `metrics_text`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Any]:
        """The metrics, counted now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        found = GaugeMetricFamily(
            "radloop_jobs", "Jobs by kind and state", labels=["kind", "state"]
        )
        for key, number in jobs.counts(self._store).items():
            found.add_metric(list(key), number)
        yield found
        with self._store.reading() as session:
            states = session.execute(select(Study.state, func.count()).group_by(Study.state)).all()
            groups = session.execute(
                select(Study.group, func.count())
                .where(Study.reviewed_at.is_(None))
                .group_by(Study.group)
            ).all()
            results = session.execute(
                select(Result.model_name, Result.status, func.count()).group_by(
                    Result.model_name, Result.status
                )
            ).all()
            said = session.execute(
                select(Correction.kind, func.count()).group_by(Correction.kind)
            ).all()
            kept = session.scalar(select(func.sum(Blob.bytes)))
        studies = GaugeMetricFamily("radloop_studies", "Studies by state", labels=["state"])
        for state, number in states:
            studies.add_metric([state], number)
        yield studies
        waiting = GaugeMetricFamily(
            "radloop_worklist_studies", "Studies not yet reviewed, by group", labels=["group"]
        )
        for group, number in groups:
            waiting.add_metric([group or "waiting"], number)
        yield waiting
        read = CounterMetricFamily(
            "radloop_results", "Results by model and verdict", labels=["model", "verdict"]
        )
        for model, status, number in results:
            read.add_metric([model, status], number)
        yield read
        corrections = CounterMetricFamily(
            "radloop_corrections", "Judgements by people, by kind", labels=["kind"]
        )
        for kind, number in said:
            corrections.add_metric([kind], number)
        yield corrections
        yield GaugeMetricFamily(
            "radloop_stored_bytes", "Bytes of files in the store", value=float(kept or 0)
        )
        yield GaugeMetricFamily(
            "radloop_free_bytes",
            "Bytes free on the store's disk",
            value=float(shutil.disk_usage(self._store.blobs.folder).free),
        )
        yield GaugeMetricFamily(
            "radloop_oldest_job_seconds",
            "How long the job that waits longest has been waiting",
            value=jobs.oldest_waiting(self._store),
        )


def metrics_text(store: Store) -> bytes:
    """The metrics in the text format of Prometheus."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Numbers(store))
    return bytes(generate_latest(registry))
