"""One "read" job: lay out the files of a series, let the model read them, store what came of it."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from radloop.errors import InputError, RadloopError, WriteError
from radloop.findings.finding import Prediction
from radloop.service.logs import event
from radloop.service.settings import ModelOptions, Settings
from radloop.service.store.database import Store
from radloop.service.store.jobs import NewOutput, NewResult
from radloop.service.store.schema import Instance, Job, Series, Study
from radloop.service.worklist import order

if TYPE_CHECKING:
    from radloop.findings.fhir import StudyFacts
    from radloop.inference.case_reader import CaseReader

WORK = "work"


@dataclass(frozen=True)
class LaidOut:
    """A series as files that a model can read. films: one path an instance; scan: the folder, or
    the one file of a volume."""

    films: tuple[Path, ...]
    scan: Path
    instances: tuple[Instance, ...]
    series: Series
    study: Study


class Readers:
    """The models of the settings, each opened at its first job and kept open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: dict[str, CaseReader] = {}

    def options(self, name: str) -> ModelOptions:
        """What the settings say of a model. Raises InputError when they do not name it."""
        for options in self._settings.models:
            if options.model == name:
                return options
        raise InputError(
            f"The model '{name}' is no longer in the settings.",
            "Add it again, or leave the study to a reader.",
        )

    def reader(self, name: str) -> CaseReader:
        """The open model. Raises ModelError, InputError."""
        if name not in self._open:
            from radloop.inference.case_reader import CaseReader
            from radloop.inference.predict import PredictOptions
            from radloop.systems.model import load_model

            worker, options = self._settings.worker, self.options(name)
            self._open[name] = CaseReader(
                load_model(name),
                PredictOptions(
                    device=worker.device,
                    engine=worker.engine,
                    pictures=True,
                    members=options.members,
                    workers=worker.threads,
                    even_out=options.even_out,
                ),
            )
        return self._open[name]

    def open_all(self) -> None:
        """Open every model, so that the first study need not wait for it. One that cannot be opened
        is left for its jobs to complain of."""
        for options in self._settings.models:
            with suppress(RadloopError):
                self.reader(options.model)


def read(store: Store, readers: Readers, job: Job) -> tuple[NewResult, list[NewOutput]]:
    """What the job's model says of its series, its files stored. Raises RadloopError."""
    from radloop.inference.pipeline import Item

    reader = readers.reader(job.model)
    with laid_out(store, job) as files:
        out = files.scan.parent / "out"
        name = files.series.id.replace("-", "_")
        patient = files.study.patient_id or files.study.id
        if reader.model.system.reads_scans:
            prediction = reader.read(Item(name, patient, files.scan), out)
            instance = film = None
        else:
            said = [
                reader.read(Item(f"{name}_{k}" if k > 1 else name, patient, film), out)
                for k, film in enumerate(files.films, start=1)
            ]
            place = most_telling(said)
            prediction, instance, film = said[place], files.instances[place].id, place
        outputs = _stored(store, prediction, out)
        try:
            outputs += _made(store, reader, job, files, prediction, film, out)
        except WriteError:
            raise
        except Exception as error:  # the findings count, even where no object can be made of them
            event("worker", "no_objects", logging.ERROR, job=job.id, error=type(error).__name__)
    prediction = replace(prediction, files={o.kind: o.name for o in outputs})
    send_to = readers.options(job.model).send_to
    return NewResult(prediction, instance, send_to), outputs


def most_telling(said: Sequence[Prediction]) -> int:
    """Which film of a series speaks for it: one that was read before one that was refused, and
    among these the most urgent. Raises ValueError for none."""
    ranked = order(said)
    readable = [item for item in ranked if not item.prediction.verdict.refused]
    chosen = (readable or ranked)[0].prediction
    return next(k for k, one in enumerate(said) if one is chosen)


@contextmanager
def laid_out(store: Store, job: Job) -> Iterator[LaidOut]:
    """The job's series in a folder of links, which is gone afterwards."""
    with store.reading() as session:
        study = session.get_one(Study, job.study_id)
        series = session.get_one(Series, job.series_id)
        instances = tuple(
            session.scalars(
                select(Instance)
                .where(Instance.series_id == job.series_id)
                .order_by(Instance.number, Instance.id)
            )
        )
    if not instances:
        raise InputError("The series has no files.")
    work = store.settings.home / WORK
    work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{job.id}-", dir=work))
    try:
        films = []
        place = folder / "series"
        place.mkdir()
        for k, instance in enumerate(instances, start=1):
            suffix = ".dcm" if instance.sop_class else instance.transfer_syntax
            film = place / f"{k:05d}{suffix}"
            film.symlink_to(store.blobs.path(instance.blob).absolute())
            films.append(film)
        alone = len(films) == 1 and not instances[0].sop_class
        yield LaidOut(tuple(films), films[0] if alone else place, instances, series, study)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_work(settings: Settings) -> None:
    """Remove what killed workers left; for a start with no other worker on this home."""
    shutil.rmtree(settings.home / WORK, ignore_errors=True)


def _stored(store: Store, prediction: Prediction, out: Path) -> list[NewOutput]:
    outputs = []
    for kind, name in prediction.files.items():
        stored = store.blobs.put_file(out / name)
        outputs.append(NewOutput(kind, stored.sha256, stored.bytes, Path(name).name))
    return outputs


def _made(
    store: Store,
    reader: CaseReader,
    job: Job,
    files: LaidOut,
    prediction: Prediction,
    film: int | None,
    out: Path,
) -> list[NewOutput]:
    """The findings as FHIR, and as DICOM objects where the series is DICOM. film: the place of the
    one that the prediction speaks of."""
    from radloop.findings.dicom.objects import objects_of
    from radloop.findings.fhir import bundle_of

    bundle = json.dumps(bundle_of(prediction, _study_facts(files), key=job.key)).encode()
    fhir = NewOutput("fhir", store.blobs.put(bundle), len(bundle), "findings.json")
    if not files.instances[0].sop_class:
        return [fhir]
    sources = files.films if film is None else files.films[film : film + 1]
    system = reader.model.system
    made = objects_of(
        prediction, out, sources, key=job.key, structures=system.structures,
        segments=system.segments() if system.structures else None,
    )  # fmt: skip
    outputs = [fhir]
    for one in made:
        blob = store.blobs.put(one.dataset_bytes)
        size = len(one.dataset_bytes)
        outputs.append(NewOutput(one.kind, blob, size, one.name, one.sop_uid))
    return outputs


def _study_facts(files: LaidOut) -> StudyFacts:
    from radloop.findings.fhir import SeriesFacts, StudyFacts

    study, series = files.study, files.series
    dicom = bool(files.instances[0].sop_class)
    named = tuple((one.sop_uid, one.sop_class) for one in files.instances)
    return StudyFacts(
        study_uid=study.study_uid if dicom else "",
        patient_id=study.patient_id,
        patient_name=study.patient_name,
        patient_sex=study.patient_sex,
        accession=study.accession,
        started=study.study_date,
        description=study.description,
        series=(SeriesFacts(series.series_uid, series.modality, named, series.description),)
        if dicom
        else (),
    )
