"""What takes an original's place: the same for the same original, under one key, in every run."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from datetime import date, timedelta
from pathlib import Path

from radloop.errors import InputError

_MIN_BYTES = 16
_MOST_DAYS = 3650
_STANDARD = "1.2.840.10008."


class Pseudonyms:
    """Replacements made from a secret key (HMAC-SHA256): nobody without it can find an original,
    nor try out whether a patient is among them."""

    def __init__(self, key: bytes) -> None:
        if len(key) < _MIN_BYTES:
            raise InputError(
                f"The key has {len(key)} bytes, at least {_MIN_BYTES} are needed.",
                "Name a file that does not exist yet, and a key is made in it.",
            )
        self._key = key

    def uid(self, original: str) -> str:
        """A UID under 2.25 (PS3.5 B.2); the standard's own UIDs mean the same for everybody."""
        if original.startswith(_STANDARD) or not original:
            return original
        return f"2.25.{int.from_bytes(self._digest('uid', original)[:16], 'big')}"

    def patient(self, original: str) -> str:
        """A patient's identifier, and name."""
        return "R" + self._digest("patient", original).hex()[:12].upper()

    def word(self, original: str) -> str:
        """A short identifier (accession number, study ID, ...)."""
        return self._digest("word", original).hex()[:12].upper()

    def days(self, patient: str) -> int:
        """By how many days a patient's dates are moved back, 1 to 3650."""
        return 1 + int.from_bytes(self._digest("days", patient)[:4], "big") % _MOST_DAYS

    def shifted(self, value: str, patient: str) -> str:
        """A DA or DT value moved back by the patient's days; "" for what is no date."""
        try:
            day = date(int(value[:4]), int(value[4:6]), int(value[6:8]))
            moved = day - timedelta(days=self.days(patient))
        except (ValueError, OverflowError):
            return ""
        return moved.strftime("%Y%m%d") + value[8:]

    def _digest(self, purpose: str, original: str) -> bytes:
        text = f"{purpose}\0{original}".encode("utf-8", "surrogateescape")
        return hmac.new(self._key, text, hashlib.sha256).digest()


def random_pseudonyms() -> Pseudonyms:
    """Under a key that is forgotten: another run gives other replacements."""
    return Pseudonyms(secrets.token_bytes(32))


def pseudonyms_of(path: Path) -> Pseudonyms:
    """Under the key in a file, which is made, readable for its owner alone, when it is missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    return Pseudonyms(path.read_bytes().strip())
