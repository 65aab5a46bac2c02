"""A store of its own for each test, and made-up files to put into it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)
from sqlalchemy import create_engine, text

from radloop.service.settings import Settings, load_settings
from radloop.service.store import intake
from radloop.service.store.database import Store, open_store


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of this session's own, on a socket in its folder alone."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    pytest.importorskip("psycopg")
    if not programs:
        pytest.skip("PostgreSQL is not installed")
    programs_at = programs[-1].parent
    with TemporaryDirectory(prefix="radloop-pg-") as name:
        folder, user = Path(name), "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)
        data = folder / "data"

        def run(program: str, *options: str) -> None:
            subprocess.run(
                [programs_at / program, *options], user=user, check=True, cwd=folder,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip

        run("initdb", "-D", str(data), "-U", "radloop", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-D", str(data), "-w", "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield f"postgresql+psycopg://radloop@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The address of an empty database: "" for SQLite in the home folder."""
    if request.param == "sqlite":
        return ""
    url = str(request.getfixturevalue("postgres_url"))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


@pytest.fixture
def settings(tmp_path: Path, database: str) -> Settings:
    """Settings with round times; the home folder is the test's."""
    return load_settings(
        tmp_path / "home",
        database=database,
        quiet=30,
        quiet_films=30,
        worker={"lease": 60, "attempts": 3, "backoff": 10},
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """An open store without any study."""
    opened = open_store(settings)
    yield opened
    opened.close()


def dicom(modality: str = "CR", **changes: Any) -> Dataset:
    """A small valid image of a study of its own; `changes` set further elements."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = CTImageStorage if modality == "CT" else ComputedRadiographyImageStorage
    image.SOPInstanceUID = generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.PatientID, image.PatientName = "p1", "Doe^Jane"
    image.Modality, image.BodyPartExamined = modality, "CHEST" if modality == "CR" else "HEAD"
    image.InstanceNumber = 1
    pixels = np.random.default_rng(0).integers(0, 4096, (64, 64), dtype=np.uint16)
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = pixels.tobytes()
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return image


def written(image: Dataset) -> bytes:
    """The image as a DICOM file."""
    file = io.BytesIO()
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()


Receive = Callable[..., intake.Registered]


@pytest.fixture
def receive(store: Store) -> Receive:
    """Take a dataset in, as the node does: the file first, the row after."""

    def take(image: Dataset, **options: Any) -> intake.Registered:
        content = written(image)
        return intake.register(store, intake.facts_of(content), store.blobs.put(content), **options)

    return take
