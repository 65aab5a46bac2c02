"""Files under the hash of their content: `blobs/ab/abcdef...`, written once, never changed.

A file is written under a temporary name, renamed, and flushed to the disk; one flush after the
rename makes content and name durable on ext4, XFS and Btrfs. A crash between the two may leave a
name whose content is not whole; nothing refers to it then, and `intake.recover` checks the hash of
every file without a row before it counts.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from radloop.errors import InputError, WriteError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = "incoming"
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Stored:
    """A file that is durable in the store."""

    sha256: str
    bytes: int


class Hash(Protocol):
    """What `hashlib` gives."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class BlobWriter:
    """One file in the making: `write` its pieces, then `finish` or `discard`.

    likely: how many bytes it may have, a guess. Room is taken for them at once, which makes the
    flush at the end shorter.
    """

    def __init__(self, store: BlobStore, likely: int = 0) -> None:
        self._store = store
        self._likely = likely
        self._path = store.folder / _TEMPORARY / secrets.token_hex(8)
        self._hash: Hash = hashlib.sha256()
        self.bytes = 0
        with _said(self._store):
            self._fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        if likely:
            with contextlib.suppress(OSError, AttributeError):  # not every file system can
                os.posix_fallocate(self._fd, 0, likely)

    def write(self, piece: bytes | memoryview) -> None:
        """Append. Raises WriteError when the disk is full; the writer is to be discarded then."""
        left = memoryview(piece).cast("B")
        self._hash.update(left)
        with _said(self._store):
            while left:
                done = os.write(self._fd, left)
                self.bytes += done
                left = left[done:]

    def finish(self) -> Stored:
        """Give the file its final name, durably. Raises WriteError; nothing is left then."""
        sha256 = self._hash.hexdigest()
        final = self._store.path(sha256)
        try:
            with _said(self._store):
                if self.bytes < self._likely:
                    os.ftruncate(self._fd, self.bytes)
                if final.exists():  # a row may refer to it: it must be whole at every moment
                    os.fsync(self._fd)
                    self._path.replace(final)
                else:
                    self._path.replace(final)
                    os.fsync(self._fd)
        except WriteError:
            self.discard()
            raise
        os.close(self._fd)
        self._fd = -1
        return Stored(sha256, self.bytes)

    def discard(self) -> None:
        """Leave nothing behind. May be called after `finish`, and twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


class BlobStore:
    """A folder of files by content. Made by `open_store`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _said(self):
            for name in [_TEMPORARY, *(f"{k:02x}" for k in range(256))]:
                (folder / name).mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where the file lies, whether it exists or not. Raises InputError for what is no hash."""
        if not _SHA256.fullmatch(sha256):
            raise InputError("That is not the name of a stored file.")
        return self.folder / sha256[:2] / sha256

    def put(self, content: bytes | memoryview) -> str:
        """Store `content` durably and return its hash. Raises WriteError."""
        writer = self.writer()
        try:
            writer.write(content)
            return writer.finish().sha256
        except BaseException:
            writer.discard()
            raise

    def put_file(self, path: Path) -> Stored:
        """Store a copy of a file. Raises WriteError, and OSError where `path` cannot be read."""
        writer = self.writer()
        try:
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    writer.write(piece)
            return writer.finish()
        except BaseException:
            writer.discard()
            raise

    def writer(self, likely: int = 0) -> BlobWriter:
        """A new file, to be written piece by piece, of `likely` bytes. Raises WriteError."""
        return BlobWriter(self, likely)

    def read(self, sha256: str) -> bytes:
        """The content. Raises InputError where there is none."""
        try:
            return self.path(sha256).read_bytes()
        except FileNotFoundError as error:
            raise InputError("A stored file is missing.", "Run `radloop store check`.") from error

    def whole(self, sha256: str) -> bool:
        """Whether the file is there and has the content that its name says."""
        try:
            with self.path(sha256).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return False

    def __iter__(self) -> Iterator[str]:
        """The names of all files."""
        for shard in sorted(self.folder.iterdir()):
            if len(shard.name) == 2:
                yield from sorted(p.name for p in shard.iterdir() if _SHA256.fullmatch(p.name))

    def unfinished(self) -> list[Path]:
        """The temporary files, of writers at work and of those that were killed."""
        return sorted((self.folder / _TEMPORARY).iterdir())


@contextlib.contextmanager
def _said(store: BlobStore) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in FULL
        raise WriteError(
            "The store is full: the disk has no room left."
            if full
            else f"The store cannot be written: {error.strerror or 'unknown reason'}.",
            "Free some space; what was registered before is kept." if full else "",
        ) from error
