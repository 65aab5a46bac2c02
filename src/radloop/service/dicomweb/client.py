"""DICOMweb as a client: search, fetch and store at another server, Orthanc's for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from radloop.errors import RadloopError
from radloop.service.dicomweb import multipart
from radloop.service.dicomweb.multipart import Begin, End, MultipartError, Parser, Piece
from radloop.service.store.facts import checked_uid

JSON = "application/dicom+json"


class DicomWebError(RadloopError):
    """The server cannot be reached, refuses, or answers what cannot be read."""


class DicomWebClient:
    """One server. url: of its DICOMweb root, such as `https://pacs/dicom-web`.

    token: sent as a bearer token. verify: an authority's file for a server with a certificate of
    its own. most: bytes of one answer. Close it, or use it in a `with` block.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        auth: tuple[str, str] | None = None,
        verify: str | bool = True,
        timeout: float = 60.0,
        most: int = 2 << 30,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        import ssl

        context: ssl.SSLContext | bool = (
            ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
        )
        self._most = most
        self._http = httpx.Client(
            base_url=url.rstrip("/") + "/",
            headers=headers,
            auth=auth,
            verify=context,
            timeout=timeout,
            transport=transport,
        )

    def __enter__(self) -> DicomWebClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def search(
        self, match: Mapping[str, str] | None = None, *, study: str = "", level: str = "studies"
    ) -> list[dict[str, Any]]:
        """QIDO-RS: studies, or "series" or "instances", of a study where `study` is given.

        Returns DICOM JSON. Raises DicomWebError.
        """
        path = f"studies/{checked_uid(study, 'study')}/{level}" if study else level
        answer = self._asked("GET", path, params=dict(match or {}), headers={"Accept": JSON})
        if answer.status_code == 204:
            return []
        try:
            found = answer.json()
        except ValueError as error:
            raise DicomWebError("The server's answer is no JSON.") from error
        if not isinstance(found, list):
            raise DicomWebError("The server's answer is no list.")
        return found

    def fetch(self, study: str, series: str = "", instance: str = "") -> list[bytes]:
        """WADO-RS: the files of a study, a series or an instance. Raises DicomWebError."""
        path = f"studies/{checked_uid(study, 'study')}"
        if series:
            path += f"/series/{checked_uid(series, 'series')}"
        if instance:
            path += f"/instances/{checked_uid(instance, 'instance')}"
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        answer = self._asked("GET", path, headers={"Accept": accept})
        try:
            parser = Parser(multipart.boundary_of(answer.headers.get("content-type", "")), 100_000)
            files: list[bytes] = []
            part = bytearray()
            for event in parser.feed(answer.content):
                if isinstance(event, Begin):
                    part = bytearray()
                elif isinstance(event, Piece):
                    part += event.data
                elif isinstance(event, End):
                    files.append(bytes(part))
            parser.close()
        except MultipartError as error:
            raise DicomWebError("The server's answer is no multipart body.") from error
        return files

    def store(self, files: Iterable[bytes], study: str = "") -> list[str]:
        """STOW-RS: store DICOM files. Returns the SOP instance UIDs that the server refused.

        Raises DicomWebError where it refused the request itself.
        """
        mark = multipart.new_boundary()
        body = multipart.join((("application/dicom", [file]) for file in files), mark)
        kind = f'multipart/related; type="application/dicom"; boundary={mark}'
        path = f"studies/{checked_uid(study, 'study')}" if study else "studies"
        headers = {"Content-Type": kind, "Accept": JSON}
        answer = self._asked("POST", path, content=body, headers=headers, fine=(200, 202, 409))
        try:
            failed = answer.json().get("00081198", {}).get("Value", [])
            return [item.get("00081155", {}).get("Value", [""])[0] for item in failed]
        except (ValueError, AttributeError, IndexError) as error:
            raise DicomWebError("The server's answer cannot be read.") from error

    def _asked(
        self, method: str, path: str, fine: tuple[int, ...] = (200, 204, 206), **more: Any
    ) -> httpx.Response:
        try:
            with self._http.stream(method, path, **more) as answer:
                content = bytearray()
                for piece in answer.iter_bytes():
                    content += piece
                    if len(content) > self._most:
                        raise DicomWebError("The server's answer is too large.")
        except httpx.HTTPError as error:
            raise DicomWebError(
                f"The DICOMweb server cannot be reached ({type(error).__name__}).",
                "Check its address, and that it runs.",
            ) from error
        if answer.status_code not in fine:
            raise DicomWebError(
                f"The DICOMweb server answered {answer.status_code}.",
                "Check its address, the token, and what it allows.",
            )
        return httpx.Response(
            answer.status_code, headers=_plain(answer.headers), content=bytes(content)
        )


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """Without what says how the bytes were sent: they are decoded."""
    gone = {"content-encoding", "content-length", "transfer-encoding"}
    return {name: value for name, value in headers.items() if name.lower() not in gone}
