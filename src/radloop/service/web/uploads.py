"""Taking studies in through the page: files one by one, archives, or a folder of the server."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import update
from starlette.concurrency import run_in_threadpool

from radloop.errors import InputError
from radloop.service.security import audit
from radloop.service.security.settings import UploadLimits
from radloop.service.store import intake, studies
from radloop.service.store.facts import IntakeError, is_dicom
from radloop.service.store.schema import Study
from radloop.service.web.access import Web, Who, needs, web
from radloop.service.web.pages import page

router = APIRouter()
Parts = Annotated[Web, Depends(web)]
_PIECE = 1 << 20


@router.get("/upload")
def upload_page(
    request: Request, parts: Parts, who: Annotated[Who, Depends(needs("reviewer"))]
) -> Response:
    """The page on which a folder is dropped."""
    folders = parts.settings.web.folders if who.may("admin") else ()
    return page(request, "upload.html", who, folders=[f.name for f in folders], said="")


@router.post("/upload/file")
async def upload_file(
    request: Request, parts: Parts, who: Annotated[Who, Depends(needs("reviewer"))]
) -> JSONResponse:
    """One file as the body of the request, its name in `X-File-Name`; a ZIP is unpacked.

    Answers `{"new", "known", "refused": [[name, reason]], "studies": [id]}`.
    """
    limits = parts.settings.security.uploads
    name = unquote(request.headers.get("x-file-name", ""))[:256].replace("\\", "/").rsplit("/")[-1]
    with tempfile.TemporaryDirectory(prefix="radloop-") as folder:
        path = Path(folder, "upload")
        size = 0
        with path.open("wb") as file:
            async for piece in request.stream():
                size += len(piece)
                if size > limits.file_bytes:
                    raise HTTPException(413, "The file is larger than an upload may be.")
                file.write(piece)
        if size == 0:
            raise InputError("The file is empty.")
        added = await run_in_threadpool(_take, parts, who, path, name, limits)
    return JSONResponse(
        {"new": added.new, "known": added.known, "refused": added.refused, "studies": added.studies}
    )


@router.post("/upload/done")
def done(
    parts: Parts,
    who: Annotated[Who, Depends(needs("reviewer"))],
    studies_in: Annotated[str, Form(alias="studies", max_length=100_000)] = "",
) -> Response:
    """All files of the studies came: they need not wait for the quiet time."""
    from radloop.service.web.access import check_visible

    for study_id in dict.fromkeys(studies_in.split()):
        check_visible(parts, who, study_id)
        studies.complete(parts.store, study_id)
    return Response(status_code=204)


@router.post("/upload/folder")
def take_folder(
    request: Request,
    parts: Parts,
    who: Annotated[Who, Depends(needs("admin"))],
    folder: Annotated[str, Form(max_length=256)] = "",
    below: Annotated[str, Form(max_length=1024)] = "",
) -> Response:
    """Take in a folder of the server: one that the settings name, or one below it."""
    folders = {one.name: one for one in parts.settings.web.folders}
    root = folders.get(folder)
    target = (root / below).resolve() if root else None
    if root is None or target is None or not target.is_relative_to(root.resolve()):
        raise HTTPException(404, "There is no such folder among those of the settings.")
    if not target.is_dir():
        raise HTTPException(404, "There is no such folder among those of the settings.")
    added = intake.add_folder(parts.store, target)
    for study_id in added.studies:
        studies.complete(parts.store, study_id)
    audit.record(parts.store, who.name, "folder taken in", detail={"new": added.new})
    said = f"{added.new} new files, {added.known} known, {len(added.refused)} refused."
    return page(request, "upload.html", who, folders=list(folders), said=said)


def _take(parts: Web, who: Who, path: Path, name: str, limits: UploadLimits) -> intake.Added:
    new = known = 0
    refused: list[tuple[str, str]] = []
    found: dict[str, None] = {}
    packed = zipfile.is_zipfile(path) and not is_dicom(path)
    members = unpacked(path, limits) if packed else iter([(name, path)])
    for member, file in members:
        try:
            check_pixels(file, limits)
            registered = intake.add_file(parts.store, file, name=member, source="upload")
        except IntakeError as error:
            refused.append((member, error.what))
            continue
        new, known = new + registered.new, known + (not registered.new)
        found[registered.study_id] = None
        if registered.new and who.account.sites:
            with parts.store.session() as session:
                statement = update(Study).where(Study.id == registered.study_id, Study.site == "")
                session.execute(statement.values(site=who.account.sites[0]))
    for study_id in found:
        audit.record(parts.store, who.name, "upload", study_id)
    return intake.Added(new, known, tuple(refused[:100]), tuple(found))


def unpacked(path: Path, limits: UploadLimits) -> Iterator[tuple[str, Path]]:
    """The files of an archive one after the other, as (name, temporary path).

    Members are written under names of our own, never theirs. What the archive claims is not
    believed: bytes are counted as they come. Raises HTTPException 413 beyond the limits, and
    InputError for a damaged or encrypted archive. Archives in archives are not opened.
    """
    total = 0
    with tempfile.TemporaryDirectory(prefix="radloop-") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                members = [one for one in archive.infolist() if not one.is_dir()]
                if len(members) > limits.files:
                    raise HTTPException(413, "The archive holds too many files.")
                for member in members:
                    file = Path(folder, "member")
                    most = min(
                        limits.file_bytes,
                        limits.bytes - total,
                        int(max(_PIECE, member.compress_size * limits.ratio)),
                    )
                    total += _copy(archive, member, file, most)
                    name = member.filename.replace("\\", "/").rsplit("/")[-1]
                    if not name.startswith("."):
                        yield name[:256], file
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
            raise InputError("The archive is damaged or encrypted.", "Pack it again.") from error


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path, most: int) -> int:
    size = 0
    with archive.open(member) as source, file.open("wb") as target:
        while piece := source.read(_PIECE):
            size += len(piece)
            if size > most:
                raise HTTPException(413, "The archive unpacks to more than an upload may hold.")
            target.write(piece)
    return size


def check_pixels(path: Path, limits: UploadLimits) -> None:
    """Raises IntakeError for a DICOM file or PNG that claims more frames or pixels than allowed,
    before anything decodes it."""
    with path.open("rb") as file:
        head = file.read(32)
    rows = columns = frames = 1
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        columns, rows = (int.from_bytes(head[k : k + 4], "big") for k in (16, 20))
    elif is_dicom(path):
        import pydicom

        tags = ["Rows", "Columns", "NumberOfFrames"]
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
            rows, columns = int(header.get("Rows", 1) or 1), int(header.get("Columns", 1) or 1)
            frames = int(header.get("NumberOfFrames", 1) or 1)
        except Exception as error:  # pydicom raises whatever a broken file makes it trip over
            raise IntakeError("This is no DICOM file that can be read.") from error
    if frames > limits.frames or rows * columns > limits.pixels:
        raise IntakeError("The file claims more frames or pixels than an upload may have.")
