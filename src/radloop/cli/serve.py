"""`radloop serve` and `radloop store`: the reading room, and what it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radloop.cli.console import Json, Quiet, message, progress_bar, result_json
from radloop.errors import InputError, RadloopError

if TYPE_CHECKING:
    import threading

    from radloop.service.settings import Settings
    from radloop.service.store.database import Store

PARTS = ("node", "worker", "web")
Home = Annotated[Path, typer.Option(metavar="FOLDER", help="Where the service keeps everything.")]
HOME = Path("radloop-home")

store = typer.Typer(no_args_is_help=True, help="What the reading room keeps: copy it, check it.")


def serve(
    part: Annotated[
        str, typer.Argument(metavar="[PART]", help="node, worker or web; all without.")
    ] = "",
    home: Home = HOME,
    watch: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Also take in what is put into this folder."),
    ] = None,
    quiet_time: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="S", help="A study is complete when nothing came so long."),
    ] = None,
    supervised: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """The reading room: receive studies, read them, show the worklist. Ctrl-C stops it."""
    from radloop.service import logs
    from radloop.service.settings import load_settings
    from radloop.service.store.database import open_store

    if part and part not in PARTS:
        raise InputError(f"The service has no part '{part}'.", f"Give {', '.join(PARTS)} or none.")
    changes = {} if quiet_time is None else {"quiet": quiet_time}
    settings = load_settings(home, **changes)
    folders = [*settings.watch, *(watch or [])]
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing:
        raise InputError(f"There is no folder '{missing[0].name}' to watch.", "Make it first.")
    logs.set_up()
    opened = open_store(settings, migrate=not supervised)
    try:
        if supervised:
            _run_part(part, supervised, opened, settings)
        else:
            options = [] if quiet_time is None else ["--quiet-time", str(quiet_time)]
            _supervise([part] if part else list(PARTS), opened, settings, folders, options)
    finally:
        opened.close()


def _supervise(
    kinds: list[str], opened: Store, settings: Settings, folders: list[Path], options: list[str]
) -> None:
    import threading

    from radloop.service.store.studies import known_readers
    from radloop.service.supervise import Supervisor, stopping, watch_folder

    if "worker" in kinds:
        known_readers(settings.models)  # a model that cannot be used is said now, not at night
    if "web" in kinds:
        _first_admin(opened)
    supervisor = Supervisor(opened, settings, kinds, options)
    with stopping(supervisor.stop):
        if folders:
            threading.Thread(
                target=watch_folder, args=(opened, folders, supervisor.stop), daemon=True
            ).start()
        _say_where(kinds, settings)
        supervisor.run()


def _first_admin(opened: Store) -> None:
    from radloop.service.security.accounts import first_admin

    password = first_admin(opened)
    if password:
        typer.echo(f"The first account is 'admin', its one-time password: {password}")


def _say_where(kinds: list[str], settings: Settings) -> None:
    if "web" in kinds:
        web = settings.web
        typer.echo(f"Worklist: {web.public_url or f'http://{web.host}:{web.port}'}")
    if "node" in kinds:
        node = settings.node
        typer.echo(f"DICOM: {node.ae_title} at {node.host}:{node.port}")


def _run_part(part: str, name: str, opened: Store, settings: Settings) -> None:
    import threading

    from radloop.service.supervise import stopping, watch_parent

    stop = threading.Event()
    watch_parent(stop)
    if part == "web":
        _run_web(opened, settings, stop)
        return
    with stopping(stop):
        if part == "worker":
            from radloop.service.worker.loop import run
            from radloop.service.worker.reading import Readers

            readers = Readers(settings)
            readers.open_all()
            run(opened, name, stop, readers=readers)
        else:
            from radloop.service.node.server import start_node

            running = start_node(opened, settings)
            stop.wait()
            running.stop(grace=10.0)


def _run_web(opened: Store, settings: Settings, stop: threading.Event) -> None:
    """uvicorn handles the signals itself; the parent's end is passed on to it."""
    import threading

    import uvicorn

    from radloop.service.web.app import create_app

    server = uvicorn.Server(
        uvicorn.Config(
            create_app(opened, settings),
            host=settings.web.host,
            port=settings.web.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
    )

    def end() -> None:
        stop.wait()
        server.should_exit = True

    threading.Thread(target=end, daemon=True).start()
    server.run()
    stop.set()


@store.command()
def backup(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the copy goes.")],
    home: Home = HOME,
    files_only: Annotated[
        bool, typer.Option("--files-only", help="Without the database: after pg_dump.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Copy the database and all files while the service runs; again, only what is new."""
    from radloop.service.backup import backup as run

    with progress_bar("files", quiet) as progress:
        done = run(_opened(home), out, files_only=files_only, progress=progress)
    message(f"{done.copied} files copied, {done.there} were there already", quiet)


@store.command()
def restore(
    backup_folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="What backup wrote.")],
    home: Home = HOME,
    quiet: Quiet = False,
) -> None:
    """Make a new home folder of a backup; every file is checked on the way."""
    from radloop.service.backup import restore as run

    with progress_bar("files", quiet) as progress:
        done = run(backup_folder, home, progress)
    message(f"{done.copied} files restored", quiet)


@store.command()
def check(
    home: Home = HOME,
    deep: Annotated[bool, typer.Option("--deep", help="Also read every file.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong with the store; exit code 1 when anything is."""
    from radloop.service.backup import check as run
    from radloop.service.backup import table_counts

    opened = _opened(home)
    with progress_bar("files", quiet) as progress:
        problems = run(opened, deep=deep, progress=progress)
    if as_json:
        result_json({"problems": problems, "rows": table_counts(opened)})
    for problem in problems:
        message(problem, False)
    if problems:
        raise RadloopError(f"The store has {len(problems)} problems.", "Restore a backup.")
    message("the store is whole", quiet)


def _opened(home: Path) -> Store:
    from radloop.service.settings import load_settings
    from radloop.service.store.database import open_store

    if not home.is_dir():
        raise InputError("There is no such home folder.", "Give the one of `radloop serve`.")
    return open_store(load_settings(home))
