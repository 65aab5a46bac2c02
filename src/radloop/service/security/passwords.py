"""Passwords: hashed with Argon2id, never stored, compared in the same time whether or not the
account exists."""

from __future__ import annotations

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from radloop.errors import InputError

SHORTEST, LONGEST = 12, 256
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like something else


@cache
def hasher() -> PasswordHasher:
    """Argon2id with the library's defaults, which are RFC 9106's second choice (64 MiB, 3 passes,
    4 lanes)."""
    return PasswordHasher()


def hashed(password: str) -> str:
    """The password as it is stored, with salt and parameters."""
    return hasher().hash(password)


def matches(stored: str, password: str) -> bool:
    """Whether the password is the stored one. An empty or damaged hash matches nothing, and takes
    as long to say so."""
    if len(password) > LONGEST:
        return False
    try:
        return hasher().verify(stored or _nobody(), password) and bool(stored)
    except (VerificationError, InvalidHashError):
        return False


def outdated(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than are used today."""
    return hasher().check_needs_rehash(stored)


@cache
def _nobody() -> str:
    return hashed(secrets.token_urlsafe(16))


def check_new(password: str, name: str) -> None:
    """Raises InputError for a password that is too short, too long, one letter repeated, or holds
    the account's name. No rule on kinds of letters, as NIST SP 800-63B advises."""
    if len(password) < SHORTEST:
        raise InputError(
            f"The password is shorter than {SHORTEST} characters.", "Four words in a row are good."
        )
    if len(password) > LONGEST:
        raise InputError(f"The password is longer than {LONGEST} characters.", "Shorten it.")
    if len(set(password)) < 5 or name.casefold() in password.casefold():
        raise InputError(
            "The password is easy to guess.", "Use more letters, and not the account's name."
        )


def one_time() -> str:
    """A password for a first login: 16 readable characters in groups, about 79 bits."""
    letters = "".join(secrets.choice(_READABLE) for _ in range(16))
    return "-".join(letters[k : k + 4] for k in range(0, 16, 4))
