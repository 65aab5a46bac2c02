"""Every route of the pages, and every attack on them."""

from __future__ import annotations

import base64
import io
import json
import logging
import zipfile
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.routing import APIRoute
from made_room import HOST, PASSWORD, Room, log_in
from sqlalchemy import select, update

from radloop.service.security import accounts, audit
from radloop.service.store import corrections, results
from radloop.service.store.schema import Study
from radloop.service.web import (
    about,
    admin,
    entry,
    pictures,
    reading,
    uploads,
    worklist,
)
from radloop.service.web.about import rendered

PAGE = {"accept": "text/html"}
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def result_of(room: Room, study: str) -> str:
    return results.of_study(room.store, study).results[0].id


def png64(labels: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode(".png", labels)[1].tobytes()).decode()


# What works.


def test_the_most_pressing_study_is_listed_opened_and_judged(room: Room) -> None:
    study = room.study()
    client = room.login()
    assert f"/study/{study}" in client.get("/").text
    assert client.get("/next").headers["location"] == f"/study/{study}"
    page = client.get(f"/study/{study}").text
    assert "Cardiomegaly" in page and result_of(room, study) in page
    body = {"kind": "agree", "result": result_of(room, study)}
    assert client.post(f"/study/{study}/correction", json=body).status_code == 201
    rows = client.post("/worklist/rows", data={"reviewed": "no"})
    assert study not in rows.text
    assert client.get("/next").headers["location"] == "/"


def test_live_rows_answer_only_when_something_changed(room: Room) -> None:
    room.study()
    client = room.login()
    rows = client.post("/worklist/rows", data={}).text
    seen = rows.split('id="seen" name="seen" value="')[1].split('"')[0]
    assert client.post("/worklist/rows", data={"seen": seen}).status_code == 204
    room.study()
    assert client.post("/worklist/rows", data={"seen": seen}).status_code == 200


def test_a_place_by_hand_is_kept_with_who_gave_it(room: Room) -> None:
    first, second = room.study(), room.study()
    client = room.login()
    assert client.post(f"/study/{second}/place", data={"rank": "first"}).status_code == 204
    assert [row.study.id for row in results.worklist(room.store)] == [second, first]
    assert "Put first by reviewer" in client.post("/worklist/rows", data={}).text
    assert client.post(f"/study/{second}/place", data={"rank": "third"}).status_code == 422


def test_films_are_windowed_as_asked(room: Room) -> None:
    study = room.study()
    client = room.login("reader")
    view = results.of_study(room.store, study)
    (series,) = view.series
    (instance,) = view.instances[series.id]
    film = cv2.imread(str(room.store.blobs.path(instance.blob)), cv2.IMREAD_UNCHANGED)
    address = f"/study/{study}/image/{series.id}/{instance.id}/0.png"
    shown = client.get(address)
    assert shown.headers["cache-control"].startswith("private")
    decoded = cv2.imdecode(np.frombuffer(shown.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(decoded, film)
    narrow = client.get(address, params={"c": 100, "w": 50}).content
    decoded = cv2.imdecode(np.frombuffer(narrow, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = np.clip((film.astype(float) - 75) / 50 * 255, 0, 255)
    assert np.abs(decoded - expected).max() <= 0.51
    assert client.get(address.replace("/0.png", "/1.png")).status_code == 404
    small = client.get(address, params={"side": 64, "c": "nan", "w": "1"}).status_code
    assert small == 200


def test_outlines_lie_on_the_edge_of_the_mask(room: Room) -> None:
    study = room.study()
    client = room.login("reader")
    answer = client.get(f"/study/{study}/result/{result_of(room, study)}/outlines/0").json()
    (heart,) = [one for one in answer["outlines"] if one["name"] == "heart"]
    points = np.array(heart["paths"][0]).reshape(-1, 2)
    ys, xs = np.nonzero(room.masks[study] == 1)
    assert np.allclose(points.min(0), [xs.min() + 0.5, ys.min() + 0.5])
    assert np.allclose(points.max(0), [xs.max() + 0.5, ys.max() + 0.5])
    assert {line["name"] for line in answer["lines"]} >= {"MRD", "MLD", "midline"}


def test_a_drawn_mask_is_kept_exactly_and_shown_again(room: Room) -> None:
    study = room.study()
    client, result = room.login(), result_of(room, study)
    drawn = room.masks[study].copy()
    drawn[30:36, 30:50] = 1
    body = {"result": result, "planes": {"0": png64(drawn)}}
    assert client.post(f"/study/{study}/mask", json=body).status_code == 201
    (row,) = corrections.of_study(room.store, study)
    assert row.blob and row.data["labels"]["heart"] == 1
    kept = cv2.imdecode(np.frombuffer(room.store.blobs.read(row.blob), np.uint8), -1)
    assert np.array_equal(kept, drawn)
    shown = client.get(f"/study/{study}/result/{result}/labels/0.png").content
    assert np.array_equal(cv2.imdecode(np.frombuffer(shown, np.uint8), -1), drawn)


@pytest.mark.parametrize(
    "planes",
    [
        {},
        {"1": "AAAA"},
        {"0": "no base64!"},
        {"0": base64.b64encode(b"no picture").decode()},
        {"0": png64(np.zeros((4, 4), np.uint8))},
        {"0": png64(np.full((48, 64), 77, np.uint8))},
    ],
)
def test_a_mask_that_does_not_fit_is_refused(room: Room, planes: dict[str, str]) -> None:
    study = room.study()
    body = {"result": result_of(room, study), "planes": planes}
    assert room.login().post(f"/study/{study}/mask", json=body).status_code == 422
    assert corrections.of_study(room.store, study) == []


def test_files_and_archives_are_taken_in(room: Room) -> None:
    client = room.login()
    film = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))[1]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../film.png", film.tobytes())
        archive.writestr("notes.txt", "no film")
    answer = client.post(
        "/upload/file", content=packed.getvalue(), headers={"x-file-name": "a.zip"}
    ).json()
    assert answer["new"] == 1 and answer["refused"][0][0] == "notes.txt"
    again = client.post("/upload/file", content=film.tobytes(), headers={"x-file-name": "b.png"})
    assert again.json()["known"] == 1
    done = client.post("/upload/done", data={"studies": answer["studies"][0]})
    assert done.status_code == 204
    assert results.of_study(room.store, answer["studies"][0]).study.state == "complete"


@pytest.mark.parametrize("path", ["/", "/upload", "/numbers", "/models", "/models/0", "/accounts",
                                  "/audit", "/keys", "/password"])  # fmt: skip
def test_every_page_is_whole_and_runs_no_inline_script(room: Room, path: str) -> None:
    answer = room.login("admin").get(path, headers=PAGE)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy
    assert " style=" not in answer.text and " onclick=" not in answer.text
    assert "<script>" not in answer.text and "<style" not in answer.text
    for name in ("x-content-type-options", "x-frame-options", "referrer-policy"):
        assert name in answer.headers
    assert answer.headers["cache-control"] == "no-store"


def test_health_is_open_and_metrics_need_a_key(room: Room) -> None:
    room.study()
    client = room.client()
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").status_code in (200, 503)
    assert client.get("/metrics").status_code == 401
    owner = room.login("reader")
    page = owner.post("/keys", data={"name": "prometheus", "scope": "read"}).text
    key = page.split('<code class="secret">')[1].split("<")[0]
    scraper = room.client()
    scraper.headers["authorization"] = f"Bearer {key}"
    text = scraper.get("/metrics").text
    assert "radloop_http_requests_total" in text and "radloop_studies" in text
    assert scraper.post("/keys", data={"name": "x"}).status_code == 403


def test_agreement_is_counted_by_model(room: Room) -> None:
    studies_ = [room.study() for _ in range(3)]
    client = room.login()
    for k, study in enumerate(studies_):
        kind, data = ("agree", {}) if k else ("label", {"labels": {"cardiomegaly": False}})
        body = {"kind": kind, "result": result_of(room, study), "data": data}
        assert client.post(f"/study/{study}/correction", json=body).status_code == 201
    page = client.get("/numbers").text
    # Wilson's interval of 2 of 3 by hand: (0.6667 + 1.9207/3 +- ...) / (1 + 3.8415/3).
    assert "0.67 (0.21-0.94)" in page and "1 label" in page


# Who may.


def test_nobody_sees_anything_without_a_login(room: Room) -> None:
    study = room.study()
    client = room.client()
    for path in ("/", f"/study/{study}", "/next", "/numbers", "/models", "/audit", "/accounts"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=PAGE).headers["location"] == "/login"
    assert client.post(f"/study/{study}/correction", json={}).status_code == 401


def test_a_one_time_password_opens_only_its_change(room: Room) -> None:
    password = accounts.first_admin(room.store)
    client = room.client()
    assert log_in(client, "admin", str(password)).headers["location"] == "/password"
    assert client.get("/", headers=PAGE).headers["location"] == "/password"
    assert client.get("/accounts").status_code == 401
    csrf = client.get("/password").text.split('name="csrf" value="')[1].split('"')[0]
    form = {"csrf": csrf, "old": password, "new": PASSWORD, "again": PASSWORD}
    assert client.post("/password", data=form).headers["location"] == "/"
    assert client.get("/", headers=PAGE).status_code == 200


def test_roles(room: Room) -> None:
    study = room.study()
    reader, reviewer = room.login("reader"), room.login("reviewer")
    body: dict[str, Any] = {"kind": "agree", "result": result_of(room, study)}
    assert reader.post(f"/study/{study}/correction", json=body).status_code == 403
    assert reader.post(f"/study/{study}/mask", json=body).status_code == 403
    assert reader.post(f"/study/{study}/place", data={"rank": "first"}).status_code == 403
    comment = {"kind": "comment", "data": {"text": "Look again."}}
    assert reader.post(f"/study/{study}/correction", json=comment).status_code == 201
    for path in ("/accounts", "/audit"):
        assert reviewer.get(path).status_code == 403
    assert reviewer.post("/upload/folder", data={"folder": "x"}).status_code == 403
    assert reader.get("/upload").status_code == 403


def test_a_guessed_study_of_another_site_is_not_there(room: Room) -> None:
    north, south = room.study("north"), room.study("south")
    client = room.login("reviewer", ("south",))
    result = result_of(room, north)
    series = results.of_study(room.store, north).series[0].id
    for path in (
        f"/study/{north}",
        f"/study/{north}/image/{series}/1/0.png",
        f"/study/{south}/image/{series}/1/0.png",
        f"/study/{north}/result/{result}/outlines/0",
        f"/study/{south}/result/{result}/outlines/0",
        f"/study/{north}/result/{result}/labels/0.png",
        f"/study/{north}/result/{result}/mask.nii.gz",
        f"/study/{north}/volume/{series}/volume.nii.gz",
        f"/study/{north}/result/{result}/slices",
        f"/study/{north}/result/{result}/made/picture",
    ):
        assert client.get(path).status_code == 404, path
    comment = {"kind": "comment", "data": {"text": "x"}}
    assert client.post(f"/study/{north}/correction", json=comment).status_code == 404
    assert client.post(f"/study/{north}/place", data={"rank": "first"}).status_code == 404
    assert client.post(f"/study/{north}/retry").status_code == 404
    assert client.post("/upload/done", data={"studies": north}).status_code == 404
    missing = client.get("/study/AAAAAAAAAAAAAAAA")
    assert (missing.status_code, missing.text) == (404, client.get(f"/study/{north}").text)
    assert north not in client.post("/worklist/rows", data={"reviewed": "all"}).text
    assert client.get("/next").headers["location"] == f"/study/{south}"
    wrong = {"kind": "agree", "result": result}
    assert client.post(f"/study/{south}/correction", json=wrong).status_code == 422


# Attacks.


def test_a_script_in_a_patients_name_stays_text(room: Room) -> None:
    study = room.study()
    with room.store.session() as session:
        values = {"patient_name": NASTY, "description": NASTY, "patient_id": NASTY}
        session.execute(update(Study).where(Study.id == study).values(**values))
    client = room.login()
    comment = {"kind": "comment", "data": {"text": NASTY}}
    client.post(f"/study/{study}/correction", json=comment)
    for text in (client.get("/").text, client.get(f"/study/{study}").text):
        assert "<script>alert" not in text and "<img src=x" not in text
        assert "&lt;script&gt;alert" in text


def test_a_script_in_a_model_card_stays_text() -> None:
    html = rendered(
        f"# Card\n\n{NASTY}\n\n[x](javascript:alert(1)) ![p](http://evil/x.png)\n\n|a|\n|-:|\n|1|",
        "/p/",
    )
    assert "<script" not in html and "<img src=x" not in html
    assert 'href="javascript' not in html and "evil" not in html and "style=" not in html


@pytest.mark.parametrize("text", ["' OR 1=1 --", "%", "_", '"; DROP TABLE study; --', "\\"])
def test_sql_in_a_search_is_only_text(room: Room, text: str) -> None:
    study = room.study()
    client = room.login()
    answer = client.post("/worklist/rows", data={"text": text, "reviewed": "all"})
    assert answer.status_code == 200 and study not in answer.text
    for key in ("group", "modality", "reviewed"):
        sent = client.post("/worklist/rows", data={key: text[:8], "reviewed": "all"})
        assert sent.status_code == 200
    with room.store.reading() as session:
        assert list(session.scalars(select(Study.id))) == [study]


def test_a_change_without_the_sessions_token_is_refused(room: Room) -> None:
    study = room.study()
    client, other = room.login(), room.login()
    mine = client.headers.pop("x-csrf-token")
    body = {"kind": "comment", "data": {"text": "x"}}
    path = f"/study/{study}/correction"
    assert client.post(path, json=body).status_code == 403
    stolen = {"x-csrf-token": other.headers["x-csrf-token"]}
    assert client.post(path, json=body, headers=stolen).status_code == 403
    assert client.post("/logout").status_code == 403
    assert client.post("/upload/file", content=b"x").status_code == 403
    assert client.post("/keys", data={"name": "x"}).status_code == 403
    assert (
        client.post("/keys", data={"name": "x", "scope": "read", "csrf": mine}).status_code == 200
    )
    assert corrections.of_study(room.store, study) == []


def test_every_route_that_changes_something_checks(room: Room) -> None:
    client = room.login("admin")
    client.headers.pop("x-csrf-token")
    open_to_all = {"/login"}
    tried = 0
    parts = (entry, worklist, reading, pictures, uploads, admin, about)
    for route in (route for part in parts for route in part.router.routes):
        assert isinstance(route, APIRoute)
        if "POST" in route.methods and route.path not in open_to_all:
            path = route.path.format(study_id="s", account_id="a", token_id="t")
            form = {"name": "x", "role": "reader"}
            assert client.post(path, data=form).status_code == 403, route.path
            tried += 1
    assert tried >= 12


def test_a_replayed_cookie_is_worth_nothing_after_logout(room: Room) -> None:
    client = room.login()
    thief = room.client()
    thief.cookies.set("radloop_session", client.cookies["radloop_session"])
    assert thief.get("/numbers").status_code == 200
    assert client.post("/logout").status_code == 303
    assert thief.get("/numbers").status_code == 401


def test_a_cookie_given_before_the_login_is_not_the_one_after(room: Room) -> None:
    room.account("anna", "reader")
    client = room.client()
    client.cookies.set("radloop_session", "chosen-by-the-attacker")
    assert log_in(client, "anna", PASSWORD).status_code == 303
    thief = room.client()
    thief.cookies.set("radloop_session", "chosen-by-the-attacker")
    assert thief.get("/numbers").status_code == 401


def test_the_cookie_is_for_http_and_this_site_only(make_room: Callable[..., Room]) -> None:
    room = make_room(web={"secure_cookies": True})
    room.account("anna", "reader")
    client = room.client()
    client.base_url = HOST.replace("http", "https")  # type: ignore[assignment]
    cookie = log_in(client, "anna", PASSWORD).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Secure" in cookie
    assert "strict-transport-security" in client.get("/login").headers


def test_logins_are_limited_by_address(make_room: Callable[..., Room]) -> None:
    room = make_room(security={"logins": 3})
    client = room.client()
    codes = [log_in(client, "nobody", "wrong").status_code for _ in range(5)]
    assert codes[:3] == [401, 401, 401] and codes[3:] == [429, 429]


def test_requests_are_limited_by_account(make_room: Callable[..., Room]) -> None:
    room = make_room(security={"requests": 20})
    client = room.login()
    answers = [client.get("/numbers") for _ in range(25)]
    assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) >= 1


def test_a_login_from_another_page_is_refused(room: Room) -> None:
    room.account("anna", "reader")
    form = {"name": "anna", "password": PASSWORD, "csrf": "x"}
    assert room.client().post("/login", data=form).status_code == 403


def test_another_host_name_is_not_served(room: Room) -> None:
    assert room.client().get("/health", headers={"host": "evil.example"}).status_code == 400


SMALL = {"file_bytes": 200_000, "bytes": 300_000, "files": 5, "ratio": 50, "pixels": 10_000}


@pytest.mark.parametrize("kind", ["large", "bomb", "many", "pixels"])
def test_bombs_are_stopped_and_leave_nothing(make_room: Callable[..., Room], kind: str) -> None:
    room = make_room(security={"uploads": SMALL})
    client = room.login()
    content, name, expected = b"x" * 300_000, "a.png", 413
    if kind in ("bomb", "many"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for k in range(1 if kind == "bomb" else 6):
                archive.writestr(f"{k}.png", b"\0" * (5_000_000 if kind == "bomb" else 10))
        content, name = packed.getvalue(), "a.zip"
        assert len(content) < SMALL["file_bytes"]
    if kind == "pixels":
        content, expected = cv2.imencode(".png", np.zeros((200, 200), np.uint8))[1].tobytes(), 200
    answer = client.post("/upload/file", content=content, headers={"x-file-name": name})
    assert answer.status_code == expected
    if kind == "pixels":
        assert answer.json()["new"] == 0 and "pixels" in answer.json()["refused"][0][1]
    with room.store.reading() as session:
        assert list(session.scalars(select(Study.id))) == []
    assert list(room.store.blobs) == []


def test_large_or_endless_forms_are_refused(room: Room) -> None:
    client = room.login()
    assert client.post("/worklist/rows", data={"text": "x" * 2_000_000}).status_code == 413

    def endless() -> Any:
        yield b"text="
        yield b"x" * 100

    answer = client.post("/worklist/rows", content=endless())
    assert answer.status_code == 411


@pytest.mark.parametrize("below", ["..", "../secret", "/etc", "a/../../secret"])
def test_a_folder_outside_the_settings_is_not_there(
    make_room: Callable[..., Room],
    below: str,
    tmp_path: Any,
) -> None:
    for name in ("given/a", "secret"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret/f.png").write_bytes(b"x")
    room = make_room(web={"folders": [tmp_path / "given"]})
    client = room.login("admin")
    form = {"folder": "given", "below": below}
    assert client.post("/upload/folder", data=form).status_code == 404
    assert client.post("/upload/folder", data={"folder": "given"}).status_code == 200


def test_nothing_of_a_patient_is_logged(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    study = room.study()
    with room.store.session() as session:
        values = {"patient_name": "DOE^JANE", "patient_id": "4711-SECRET"}
        session.execute(update(Study).where(Study.id == study).values(**values))
    client = room.login()
    caplog.set_level(logging.DEBUG, logger="radloop")
    client.get(f"/study/{study}")
    client.post("/worklist/rows", data={"text": "DOE"})
    client.get("/next", params={"after": "DOE"})
    client.post(f"/study/{study}/correction", content=b"DOE")
    logged = json.dumps([vars(record) for record in caplog.records], default=str)
    log = json.dumps([vars(line) for line in audit.entries(room.store)], default=str)
    metrics = client.get("/metrics").text
    for text in (logged, log, metrics):
        assert "DOE" not in text and "4711" not in text
    assert '"route": "/study/{study_id}"' in logged and study not in logged


def test_who_saw_what_is_in_the_audit_log(room: Room) -> None:
    study = room.study()
    client = room.login()
    client.get(f"/study/{study}")
    body = {"kind": "agree", "result": result_of(room, study)}
    client.post(f"/study/{study}/correction", json=body)
    lines = [(e.who, e.action) for e in audit.entries(room.store) if e.study_id == study]
    assert lines == [("reviewer1", "correction"), ("reviewer1", "study seen")] or len(lines) == 2
    assert {action for _, action in lines} == {"correction", "study seen"}
    audit.verify(room.store)
