"""The service's settings: `radloop.yaml` in its home folder, every value with a default.

Without the file the service is a SQLite database and a folder of files, on loopback, with the
models that come with the package.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from radloop.errors import InputError
from radloop.service.dicomweb.options import DicomWebOptions
from radloop.service.node.options import NodeOptions
from radloop.service.security.settings import SecuritySettings

FILE_NAME = "radloop.yaml"
DEFAULT_HOME = Path("radloop-home")


class Options(BaseModel):
    """A part of the settings: unknown keys are errors, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Route(Options):
    """Which series a model reads. Every list that is given must match; texts are compared without
    case, and one that ends in `*` by its beginning.

    modality, body_part, view: values of the DICOM header ("" stands for a header without one).
    description: regular expressions, one of which is found in the series' or study's description.
    not_description: the same, none of which may be found.
    """

    modality: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    view: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    not_description: tuple[str, ...] = ()


class ModelOptions(Options):
    """A model that the worker reads with: a shipped name or a folder, and its routes.

    routes: any of them is enough; empty takes the routes that the model's system has by default.
    send_to: names of peers that get its objects.
    """

    model: str
    routes: tuple[Route, ...] = ()
    send_to: tuple[str, ...] = ()
    members: int = Field(default=1, ge=1, le=9)
    even_out: bool = False


class WorkerOptions(Options):
    """How jobs are claimed. lease: how long a claim holds without a heartbeat, seconds.

    attempts: after so many failures a job is quarantined. backoff: the pause after the first
    failure, seconds, doubled after each. poll: how often an idle worker looks, seconds. longest:
    what a job may take, seconds; then its worker ends itself, which counts as a failure.
    """

    count: int = Field(default=1, ge=0, le=64)
    lease: float = Field(default=60.0, gt=0)
    attempts: int = Field(default=5, ge=1)
    backoff: float = Field(default=10.0, ge=0)
    poll: float = Field(default=0.25, gt=0)
    longest: float = Field(default=1800.0, gt=0)
    threads: int | None = Field(default=None, ge=1)
    engine: str = "auto"
    device: str = "auto"


class WorklistOptions(Options):
    """How the list is ordered. ageing_hours: the waiting that outweighs a certain finding of
    urgency 1. urgency: finding's name -> 0..1, where it differs from the table of the package."""

    ageing_hours: float = Field(default=24.0, gt=0)
    urgency: dict[str, float] = Field(default_factory=dict)

    @field_validator("urgency")
    @classmethod
    def _in_range(cls, urgency: dict[str, float]) -> dict[str, float]:
        if not all(0 <= value <= 1 for value in urgency.values()):
            raise ValueError("urgencies lie between 0 and 1")
        return urgency


class WebOptions(Options):
    """Where the pages are served. public_url: what browsers call it, where a proxy stands before
    it. secure_cookies: on, unless browsers reach the pages by plain http on loopback. folders: of
    this machine, from which an administrator may take studies in through the page."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str = ""
    secure_cookies: bool = False
    folders: tuple[Path, ...] = ()


class Settings(Options):
    """Everything that `radloop.yaml` may say.

    home: the folder of the service. database: an SQLAlchemy address; empty is `radloop.db` in the
    home folder. quiet: a study is complete when nothing came for so many seconds; quiet_films: the
    same for studies of films alone, which come at once. Too short a time costs a second reading
    when the rest comes, and loses nothing.
    """

    home: Path = DEFAULT_HOME
    database: str = ""
    quiet: float = Field(default=30.0, gt=0)
    quiet_films: float = Field(default=1.0, gt=0)
    models: tuple[ModelOptions, ...] = (
        ModelOptions(model="cardiomegaly"),
        ModelOptions(model="hemorrhage"),
    )
    watch: tuple[Path, ...] = ()
    node: NodeOptions = NodeOptions()
    dicomweb: DicomWebOptions = DicomWebOptions()
    web: WebOptions = WebOptions()
    security: SecuritySettings = SecuritySettings()
    worker: WorkerOptions = WorkerOptions()
    worklist: WorklistOptions = WorklistOptions()

    @model_validator(mode="after")
    def _peers_exist(self) -> Settings:
        known = {peer.name for peer in self.node.peers}
        for model in self.models:
            for name in model.send_to:
                if name not in known:
                    raise ValueError(
                        f"send_to of {model.model} names no peer of node.peers: {name}"
                    )
        return self

    @property
    def database_url(self) -> str:
        """The database's address for SQLAlchemy."""
        return self.database or f"sqlite:///{(self.home / 'radloop.db').absolute()}"

    @property
    def quiet_time(self) -> timedelta:
        return timedelta(seconds=self.quiet)

    @property
    def quiet_time_films(self) -> timedelta:
        return timedelta(seconds=min(self.quiet, self.quiet_films))


def load_settings(home: Path = DEFAULT_HOME, **changes: Any) -> Settings:
    """The settings of a home folder, which need not exist yet; `changes` win over the file.

    Raises InputError, which names the key, for a file that is not YAML or holds something else.
    """
    path = home / FILE_NAME
    given: Any = {}
    if path.is_file():
        try:
            given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(
                f"{FILE_NAME} cannot be read as YAML.", "Correct it, or move it away to start anew."
            ) from error
        if not isinstance(given, dict):
            raise InputError(f"{FILE_NAME} is not a list of settings by name.")
    try:
        return Settings(**{"home": home, **given, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"The setting '{where}' in {FILE_NAME} is wrong: {first['msg']}.",
            "docs/reference/service.md lists the settings.",
        ) from error
