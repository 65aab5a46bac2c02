"""DICOMweb: what is stored comes back, what is asked is found, and what is hostile is refused."""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from made_dicom import ct, file_of, with_meta
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSLossless

from radloop.service.dicomweb import multipart
from radloop.service.dicomweb.client import DicomWebClient, DicomWebError
from radloop.service.dicomweb.multipart import Begin, End, MultipartError, Parser, Piece
from radloop.service.dicomweb.options import DicomWebOptions
from radloop.service.dicomweb.server import make_router
from radloop.service.settings import Settings
from radloop.service.store.database import Store, open_store

LIMITS = DicomWebOptions(request_bytes=2_000_000, parts=20, object_bytes=500_000, answers=50)


def reader(request: Request) -> str:
    who = request.headers.get("authorization", "").removeprefix("Bearer ")
    if who not in ("reader", "writer", "elsewhere"):
        raise HTTPException(401)
    return who


def writer(request: Request) -> str:
    if reader(request) != "writer":
        raise HTTPException(403)
    return "writer"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(Settings(home=tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def web(store: Store) -> TestClient:
    app = FastAPI()
    router = make_router(
        store,
        LIMITS,
        reader,
        writer,
        sites=lambda who: ("elsewhere",) if who == "elsewhere" else None,
    )
    app.include_router(router, prefix="/dicom-web")
    return TestClient(app, headers={"Authorization": "Bearer writer"})


def client(web: TestClient, token: str = "writer") -> DicomWebClient:
    """The client with the application behind it."""

    def answer(request: httpx.Request) -> httpx.Response:
        head = {k: v for k, v in request.headers.items() if k != "transfer-encoding"}
        said = web.request(request.method, str(request.url), content=request.read(), headers=head)
        return httpx.Response(said.status_code, headers=dict(said.headers), content=said.content)

    address = "http://testserver/dicom-web"
    return DicomWebClient(address, token=token, transport=httpx.MockTransport(answer))


def stow(web: TestClient, *files: bytes, path: str = "/studies", kind: str = "application/dicom"):
    body = b"".join(multipart.join(((kind, [file]) for file in files), "B"))
    head = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=B'}
    return web.post(f"/dicom-web{path}", content=body, headers=head)


def values(answer: dict[str, Any], tag: str) -> Any:
    return answer[tag].get("Value", [None])[0]


# --- there and back -------------------------------------------------------------------------


def test_what_is_stored_comes_back_byte_for_byte(web: TestClient, store: Store) -> None:
    files = [file_of(ct(number=number)) for number in (1, 2, 3)]
    with client(web) as dicomweb:
        assert dicomweb.store(files) == []
        assert dicomweb.fetch("1.2.3") == files
        assert dicomweb.fetch("1.2.3", "1.2.3.1") == files
        assert dicomweb.fetch("1.2.3", "1.2.3.1", "1.2.3.1.2") == [files[1]]
        with pytest.raises(DicomWebError, match="404"):
            dicomweb.fetch("1.2.4")
        with pytest.raises(DicomWebError, match="404"):
            dicomweb.fetch("1.2.4", "1.2.3.1", "1.2.3.1.2")  # of another study
    assert store.blobs.unfinished() == []


def test_answer_says_what_was_stored_and_what_not(web: TestClient) -> None:
    answer = stow(web, file_of(ct()), b"no file", file_of(ct(study="1.9")), path="/studies/1.2.3")
    assert answer.status_code == 202
    body = answer.json()
    (good,) = body["00081199"]["Value"]
    assert values(good, "00081155") == "1.2.3.1.1"
    failed = {values(i, "00081155"): values(i, "00081197") for i in body["00081198"]["Value"]}
    assert failed == {None: 0xC000, "1.9.1.1": 0xA900}
    assert stow(web, b"no file").status_code == 409
    assert stow(web, file_of(ct(number=2))).status_code == 200
    other = stow(web, file_of(ct(PixelData=b"\1" * 512)))
    assert other.status_code == 202  # a warning: another content is kept
    assert values(other.json()["00081199"]["Value"][0], "00081196") == 0xB000


def test_metadata_are_the_file_without_its_pixels(web: TestClient) -> None:
    data = ct(PatientName="Müller^Änne", SpecificCharacterSet="ISO_IR 192")
    stow(web, file_of(data))
    (found,) = web.get("/dicom-web/studies/1.2.3/metadata").json()
    back = Dataset.from_json(found)
    del data.PixelData
    assert {e.tag for e in back} == {e.tag for e in data}
    assert back.PatientName == "Müller^Änne"


@pytest.mark.parametrize("syntax", [None, JPEGLSLossless, DeflatedExplicitVRLittleEndian])
def test_frames_are_the_pixels_whatever_the_syntax(web: TestClient, syntax: str | None) -> None:
    data = ct()
    expected = np.arange(256, dtype="<i2").tobytes()
    if syntax == JPEGLSLossless:
        data.compress(syntax, generate_instance_uid=False)
    elif syntax:
        with_meta(data, syntax)
    assert stow(web, file_of(data)).status_code == 200
    where = "/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
    answer = web.get(f"{where}/frames/1")
    events = list(
        Parser(multipart.boundary_of(answer.headers["content-type"]), 9).feed(answer.content)
    )
    assert b"".join(e.data for e in events if isinstance(e, Piece)) == expected
    assert web.get(f"{where}/frames/2").status_code == 404
    assert web.get(f"{where}/frames/x").status_code == 404


def test_rendered_frame_is_windowed(web: TestClient) -> None:
    import cv2

    stow(web, file_of(ct()))
    where = "/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1/rendered"

    def picture(**more: Any) -> np.ndarray:
        answer = web.get(where, **more)
        assert answer.status_code == 200
        return cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)

    whole = picture()
    assert whole.shape == (16, 16) and whole.min() == 0 and whole.max() == 255
    # Stored 0..255 is -1024..-769 HU; the window -1000 +- 10 begins at stored 14, ends at 34.
    narrow = picture(params={"window": "-1000,20,linear"}).ravel()
    assert (narrow[:15] == 0).all() and (narrow[34:] == 255).all() and 120 <= narrow[24] <= 135
    jpeg = web.get(where, headers={"Accept": "image/jpeg"})
    assert jpeg.headers["content-type"] == "image/jpeg" and jpeg.content[:2] == b"\xff\xd8"
    for window in ("1", "a,b", "1,0", "nan,1", "1,-5"):
        assert web.get(where, params={"window": window}).status_code == 400


# --- queries --------------------------------------------------------------------------------


@pytest.fixture
def filled(web: TestClient) -> TestClient:
    stow(
        web,
        file_of(ct(number=1)),
        file_of(ct(number=2)),
        file_of(ct(study="1.5", PatientID="P_2", PatientName="Doe^Jane", StudyDate="20251231")),
        file_of(ct(study="1.6", PatientID="PX2", PatientName="100%^X", StudyDate="")),
    )
    return web


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"1.2.3", "1.5", "1.6"}),
        ({"PatientID": "P_2"}, {"1.5"}),
        ({"PatientID": "P?2"}, {"1.5", "1.6"}),
        ({"PatientID": "p*"}, {"1.2.3", "1.5", "1.6"}),
        ({"00100020": "P1"}, {"1.2.3"}),
        ({"PatientName": "doe^jane"}, {"1.5"}),
        ({"PatientName": "*%*"}, {"1.6"}),
        ({"PatientName": "*_*"}, set()),
        ({"StudyDate": "20260101-"}, {"1.2.3"}),
        ({"StudyDate": "20251201-20251231"}, {"1.5"}),
        ({"StudyInstanceUID": "1.5,1.6"}, {"1.5", "1.6"}),
        ({"StudyInstanceUID": "1.5\\1.6"}, {"1.5", "1.6"}),
        ({"ModalitiesInStudy": "CT"}, {"1.2.3", "1.5", "1.6"}),
        ({"ModalitiesInStudy": "T"}, set()),
        ({"PatientID": ""}, {"1.2.3", "1.5", "1.6"}),
    ],
)
def test_queries(filled: TestClient, query: dict[str, str], expected: set[str]) -> None:
    with client(filled) as dicomweb:
        assert {values(one, "0020000D") for one in dicomweb.search(query)} == expected


def test_series_and_instances(filled: TestClient) -> None:
    with client(filled) as dicomweb:
        (series,) = dicomweb.search(study="1.2.3", level="series")
        assert values(series, "0020000E") == "1.2.3.1" and values(series, "00080060") == "CT"
        found = dicomweb.search(study="1.2.3", level="instances")
        assert [values(one, "00200013") for one in found] == [1, 2]
        assert dicomweb.search(study="9.9", level="series") == []
    page = filled.get("/dicom-web/instances?limit=2&offset=1").json()
    assert len(page) == 2
    assert len(filled.get("/dicom-web/studies?limit=100000").json()) == 3


@pytest.mark.parametrize(
    "value",
    ["' OR '1'='1", "'; DROP TABLE study; --", "%", "\\", "x' UNION SELECT * FROM account --"],
)
def test_sql_in_a_query_is_a_value_that_nothing_has(filled: TestClient, value: str) -> None:
    for name in ("PatientID", "PatientName", "AccessionNumber", "StudyDescription"):
        answer = filled.get("/dicom-web/studies", params={name: value})
        assert answer.status_code == 204
        answer = filled.get("/dicom-web/studies", params={name: f"*{value}*"})
        assert answer.status_code in (200, 204)
        assert all(value in json.dumps(one) for one in (answer.json() if answer.content else []))
    for name in ("StudyInstanceUID", "StudyDate", "limit", "offset"):
        assert filled.get("/dicom-web/studies", params={name: value}).status_code == 400
    assert filled.get("/dicom-web/studies", params={value: "1"}).status_code == 400
    assert filled.get(f"/dicom-web/studies/{value}/metadata").status_code == 404
    assert len(filled.get("/dicom-web/studies").json()) == 3


# --- who may --------------------------------------------------------------------------------


def test_every_route_has_its_dependency(filled: TestClient) -> None:
    for route in filled.app.routes:  # type: ignore[attr-defined]
        if not getattr(route, "path", "").startswith("/dicom-web"):
            continue
        path = re.sub(r"\{\w+\}", "1", route.path)
        for method in route.methods:
            nobody = filled.request(method, path, headers={"Authorization": ""})
            assert nobody.status_code == 401, path
            if method == "POST":
                some = filled.request(method, path, headers={"Authorization": "Bearer reader"})
                assert some.status_code == 403


def test_study_of_another_site_is_not_there(filled: TestClient) -> None:
    head = {"Authorization": "Bearer elsewhere"}
    assert filled.get("/dicom-web/studies", headers=head).status_code == 204
    for path in ("", "/metadata", "/series/1.2.3.1/instances/1.2.3.1.1/rendered"):
        assert filled.get(f"/dicom-web/studies/1.2.3{path}", headers=head).status_code == 404


# --- hostile bodies -------------------------------------------------------------------------


def test_oversized_requests(web: TestClient, store: Store) -> None:
    head = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=B'}
    answer = web.post("/dicom-web/studies", content=b"x" * 2_000_001, headers=head)
    assert answer.status_code == 413

    def endless() -> Iterator[bytes]:  # chunked: its length is not announced
        yield b"--B\r\nContent-Type: application/dicom\r\n\r\n"
        for _ in range(100):
            yield b"x" * 100_000

    assert web.post("/dicom-web/studies", content=endless(), headers=head).status_code == 413
    large = stow(web, file_of(ct(side=600)))  # one object beyond its own limit
    assert large.status_code == 409
    assert values(large.json()["00081198"]["Value"][0], "00081197") == 0xA700
    many = stow(web, *[b"x"] * 21)
    assert many.status_code == 400
    assert list(store.blobs) == [] and store.blobs.unfinished() == []


def test_deflate_bomb(web: TestClient, store: Store) -> None:
    plain = file_of(ct())
    start = 144 + int.from_bytes(plain[140:144], "little")
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = deflater.compress(plain[start:])
    bomb += b"".join(deflater.compress(b"\0" * 1_000_000) for _ in range(40)) + deflater.flush()
    data = with_meta(ct(), DeflatedExplicitVRLittleEndian)
    honest = file_of(data)
    begin = 144 + int.from_bytes(honest[140:144], "little")
    answer = stow(web, honest[:begin] + bomb)
    assert answer.status_code == 409
    assert values(answer.json()["00081198"]["Value"][0], "00081197") == 0xA700
    assert stow(web, honest).status_code == 200
    assert len(list(store.blobs)) == 1


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/related", b"", 415),
        ("multipart/form-data; boundary=B", b"--B--\r\n", 415),
        ('multipart/related; boundary="' + "x" * 99 + '"', b"", 415),
        ("multipart/related; boundary=B", b"", 400),
        ("multipart/related; boundary=B", b"--B--\r\n", 400),
        ("multipart/related; boundary=B", b"--B\r\n\r\nhalf", 400),
        ("multipart/related; boundary=B", b"--Bx\r\n\r\nhalf", 400),
        ("multipart/related; boundary=B", b"--B\r\nno colon\r\n\r\n\r\n--B--", 400),
        ("multipart/related; boundary=B", b"--B\r\n" + b"a: b\r\n" * 9999, 400),
        ("multipart/related; boundary=B", b"--B\r\nContent-Type: text/html\r\n\r\nx\r\n--B--", 400),
        ("multipart/related; boundary=B", b"\xff" * 99_999, 400),
    ],
)
def test_multipart_garbage(
    web: TestClient, store: Store, kind: str, body: bytes, status: int
) -> None:
    answer = web.post("/dicom-web/studies", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert list(store.blobs) == [] and store.blobs.unfinished() == []


@pytest.mark.parametrize("uid", ["..%2f..%2fetc", "1.2.3%00x", "1'", "%2e%2e"])
def test_path_in_a_uid(web: TestClient, uid: str) -> None:
    assert web.get(f"/dicom-web/studies/{uid}/metadata").status_code in (400, 404, 422)
    assert stow(web, file_of(ct()), path=f"/studies/{uid}").status_code in (400, 404, 405)


@given(
    st.lists(
        st.tuples(st.sampled_from(["application/dicom", "x/y"]), st.binary(max_size=90)), max_size=5
    ),
    st.integers(1, 40),
)
def test_parts_are_those_that_were_joined_however_they_arrive(
    parts: list[tuple[str, bytes]], step: int
) -> None:
    parts = [(kind, data) for kind, data in parts if b"--mark" not in data]
    body = b"preamble\r\n" + b"".join(multipart.join(((k, [d]) for k, d in parts), "mark")) + b"end"
    parser = Parser("mark", 5)
    found: list[tuple[str, bytes]] = []
    ends = 0
    for at in range(0, len(body), step):
        for event in parser.feed(body[at : at + step]):
            if isinstance(event, Begin):
                found.append((event.kind, b""))
            elif isinstance(event, Piece):
                found[-1] = (found[-1][0], found[-1][1] + event.data)
            elif isinstance(event, End):
                ends += 1
    parser.close()
    assert found == parts and ends == len(parts)


@given(st.binary(max_size=200))
def test_any_body_is_parts_or_an_error(body: bytes) -> None:
    parser = Parser("B", 3)
    try:
        list(parser.feed(b"--B" + body))
        parser.close()
    except MultipartError:
        pass


def test_client_tells_of_a_server_that_is_not_there() -> None:
    with (
        DicomWebClient("http://127.0.0.1:1/dicom-web", timeout=2) as dicomweb,
        pytest.raises(DicomWebError, match="cannot be reached"),
    ):
        dicomweb.search()


def test_file_read_by_pydicom(web: TestClient) -> None:
    stow(web, file_of(ct()))
    with client(web) as dicomweb:
        (file,) = dicomweb.fetch("1.2.3")
    assert pydicom.dcmread(io.BytesIO(file)).pixel_array[0, 5] == 5
