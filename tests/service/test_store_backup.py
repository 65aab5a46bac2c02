"""Copies of a store are whole, and what is wrong with one is said."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from made_store import Receive, dicom
from sqlalchemy import delete, func, select, text
from typer.testing import CliRunner

from radloop.cli.main import app
from radloop.errors import InputError
from radloop.service import backup, health
from radloop.service.settings import load_settings
from radloop.service.store import jobs, studies
from radloop.service.store.database import Store, StoreError, open_store, upgrade
from radloop.service.store.schema import Instance, Job, Study


@pytest.fixture
def database() -> str:
    """Backups are of SQLite."""
    return ""


def test_a_backup_that_is_restored_has_every_row_and_file(
    store: Store, receive: Receive, tmp_path: Path
) -> None:
    for _ in range(3):
        receive(dicom())
    done = backup.backup(store, tmp_path / "copy")
    assert (done.copied, done.there) == (3, 0)
    receive(dicom())
    again = backup.backup(store, tmp_path / "copy")
    assert (again.copied, again.there) == (1, 3)
    backup.restore(tmp_path / "copy", tmp_path / "new")
    other = open_store(load_settings(tmp_path / "new"))
    assert backup.table_counts(other) == backup.table_counts(store)
    assert backup.check(other, deep=True) == []
    other.close()


def test_a_backup_while_studies_come_in_names_no_missing_file(
    store: Store, receive: Receive, tmp_path: Path
) -> None:
    stop = threading.Event()

    def come() -> None:
        while not stop.is_set():
            receive(dicom())

    thread = threading.Thread(target=come)
    thread.start()
    try:
        for k in range(3):
            backup.backup(store, tmp_path / f"copy{k}")
    finally:
        stop.set()
        thread.join()
    for k in range(3):
        backup.restore(tmp_path / f"copy{k}", tmp_path / f"new{k}")
        other = open_store(load_settings(tmp_path / f"new{k}"))
        assert backup.check(other, deep=True) == []
        other.close()


def test_a_damaged_backup_is_not_restored(store: Store, receive: Receive, tmp_path: Path) -> None:
    receive(dicom())
    backup.backup(store, tmp_path / "copy")
    (file,) = (p for p in (tmp_path / "copy/blobs").rglob("*") if p.is_file())
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreError, match="damaged"):
        backup.restore(tmp_path / "copy", tmp_path / "new")
    assert not (tmp_path / "new/radloop.db").exists()


def test_a_home_is_never_restored_over(store: Store, tmp_path: Path) -> None:
    backup.backup(store, tmp_path / "copy")
    with pytest.raises(InputError, match="database already"):
        backup.restore(tmp_path / "copy", store.settings.home)
    with pytest.raises(InputError, match="no backup"):
        backup.restore(tmp_path, tmp_path / "new")


def test_missing_and_damaged_files_are_counted(store: Store, receive: Receive) -> None:
    for _ in range(3):
        receive(dicom())
    first, second, _ = list(store.blobs)
    store.blobs.path(first).unlink()
    path = store.blobs.path(second)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert backup.check(store) == ["1 files are missing."]
    assert backup.check(store, deep=True) == ["1 files are missing.", "1 files are damaged."]


def test_a_reading_without_its_result_is_found(store: Store, receive: Receive) -> None:
    studies.complete(store, receive(dicom()).study_id)
    with store.session() as session:
        session.scalars(select(Job)).one().state = "done"
    assert backup.check(store) == ["1 readings are done and have no result."]


def test_rows_that_refer_to_nothing_are_found(store: Store, receive: Receive) -> None:
    receive(dicom())
    with store.engine.connect() as connection:
        connection.rollback()
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute("PRAGMA foreign_keys=OFF")
        raw.execute("DELETE FROM study")
        raw.execute("PRAGMA foreign_keys=ON")
    assert backup.check(store) == ["1 rows refer to rows that are not there."]


def test_the_commands_copy_check_and_say_what_is_wrong(
    store: Store, receive: Receive, tmp_path: Path
) -> None:
    receive(dicom())
    home = ["--home", str(store.settings.home)]
    run = CliRunner().invoke
    assert run(app, ["store", "backup", *home, "--out", str(tmp_path / "copy")]).exit_code == 0
    new = ["--home", str(tmp_path / "new")]
    assert run(app, ["store", "restore", str(tmp_path / "copy"), *new]).exit_code == 0
    checked = run(app, ["store", "check", *new, "--deep", "--json", "--quiet"])
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["rows"]["study"] == 1
    (file,) = (p for p in (tmp_path / "new/blobs").rglob("*") if p.is_file())
    file.unlink()
    assert run(app, ["store", "check", *new]).exit_code == 1
    assert run(app, ["store", "check", "--home", str(tmp_path / "none")]).exit_code == 2


def test_a_database_of_a_newer_version_is_refused(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer Radloop"):
        upgrade(store.engine)


def test_the_migrations_make_what_the_tables_say(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from radloop.service.security import schema as _security
    from radloop.service.store.schema import Base

    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []
    assert _security.Base is Base


def test_the_service_says_whether_it_is_ready(store: Store, receive: Receive) -> None:
    assert all(check.ok for check in health.ready(store, least_free=1))
    assert [c.name for c in health.ready(store, least_free=1 << 60) if not c.ok] == ["disk"]
    studies.complete(store, receive(dicom()).study_id)
    jobs.claim(store, "w", lease=-1000)
    assert [c.name for c in health.ready(store, least_free=1) if not c.ok] == ["workers"]


def test_the_metrics_count_and_name_nobody(store: Store, receive: Receive) -> None:
    studies.complete(store, receive(dicom(PatientID="secret-7", PatientName="Doe")).study_id)
    found = health.metrics_text(store).decode()
    assert 'radloop_jobs{kind="read",state="waiting"} 1.0' in found
    assert 'radloop_studies{state="complete"} 1.0' in found
    assert "secret" not in found and "Doe" not in found


def test_deleted_rows_do_not_come_back(store: Store, receive: Receive) -> None:
    """The pragma is on: a study that is referred to cannot be removed by accident."""
    receive(dicom())
    with pytest.raises(StoreError), store.session() as session:
        session.execute(delete(Study))
    with store.reading() as session:
        assert session.scalar(select(func.count(Instance.id))) == 1
