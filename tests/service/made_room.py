"""A reading room of its own for each test: a store, one read chest film, and clients."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

fastapi = pytest.importorskip("fastapi")

from argon2 import PasswordHasher  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402
from sqlalchemy import update  # noqa: E402

from radloop.findings.codes import private_code  # noqa: E402
from radloop.findings.finding import Finding, ModelRef, Prediction  # noqa: E402
from radloop.service.security import accounts, passwords  # noqa: E402
from radloop.service.settings import load_settings  # noqa: E402
from radloop.service.store import intake, jobs, studies  # noqa: E402
from radloop.service.store.database import Store, open_store  # noqa: E402
from radloop.service.store.jobs import NewOutput, NewResult  # noqa: E402
from radloop.service.store.schema import Study  # noqa: E402
from radloop.service.web.app import create_app  # noqa: E402

PASSWORD = "four words in a row"
HOST = "http://127.0.0.1"


@dataclass
class Room:
    """store, folder: of the test. `login` gives a client with its CSRF token in the headers."""

    store: Store
    folder: Path
    app: Any
    made: int = 0
    masks: dict[str, np.ndarray] = field(default_factory=dict)

    def client(self) -> TestClient:
        return TestClient(self.app, base_url=HOST, follow_redirects=False)

    def account(self, name: str, role: str, sites: tuple[str, ...] = ()) -> None:
        password = accounts.create(self.store, name, role, sites=sites)
        account = accounts.authenticate(self.store, name, password)
        assert account is not None
        accounts.change_password(self.store, account.id, password, PASSWORD)

    def login(self, role: str = "reviewer", sites: tuple[str, ...] = ()) -> TestClient:
        self.made += 1
        name = f"{role}{self.made}"
        self.account(name, role, sites)
        client = self.client()
        assert log_in(client, name, PASSWORD).status_code == 303
        client.headers["x-csrf-token"] = csrf_of(client)
        return client

    def study(self, site: str = "", size: tuple[int, int] = (48, 64), name: str = "f.png") -> str:
        """A film that a model found a large heart on, with its mask; the study's id."""
        self.made += 1
        film = np.random.default_rng(self.made).integers(0, 255, size, np.uint8)
        path = self.folder / f"{self.made}.png"
        assert cv2.imwrite(str(path), film)
        study_id = intake.add_file(self.store, path, name=name).study_id
        studies.complete(self.store, study_id)
        mask = np.zeros(size, np.uint8)
        mask[10:30, 30:50], mask[5:40, 2:25], mask[5:40, 40:62] = 1, 3, 2
        mask[10:30, 30:50] = 1
        self.masks[study_id] = mask
        self._read(study_id, mask)
        if site:
            with self.store.session() as session:
                session.execute(update(Study).where(Study.id == study_id).values(site=site))
        return study_id

    def _read(self, study_id: str, mask: np.ndarray) -> None:
        while (job := jobs.claim(self.store, "w")) is not None:
            data = cv2.imencode(".png", mask)[1].tobytes()
            output = NewOutput("mask", self.store.blobs.put(data), len(data), "c.png")
            finding = Finding(
                "cardiomegaly", private_code("CARDIOMEGALY", "Cardiomegaly"), 0.9, True, 0.5
            )
            model = ModelRef("cardiomegaly", "1", "0" * 64)
            prediction = Prediction("c", "p", "cardiomegaly", model, findings=(finding,))
            jobs.finish(self.store, job, NewResult(prediction), [output])


def log_in(client: TestClient, name: str, password: str) -> Any:
    csrf = re.search(r'name="csrf" value="([^"]+)"', client.get("/login").text)
    assert csrf
    form = {"name": name, "password": password, "csrf": csrf.group(1)}
    return client.post("/login", data=form)


def csrf_of(client: TestClient) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/password").text)
    assert found
    return found.group(1)


@pytest.fixture
def make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Room]]:
    """A room with settings of one's own. Passwords are hashed with less work than otherwise."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "hasher", lambda: quick)
    opened: list[Store] = []

    def make(**changes: Any) -> Room:
        models = ({"model": "cardiomegaly", "routes": [{}]},)
        settings = load_settings(tmp_path / "home", **{"models": models, **changes})
        opened.append(open_store(settings))
        return Room(opened[-1], tmp_path, create_app(opened[-1], settings))

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def room(make_room: Callable[..., Room]) -> Room:
    return make_room()
