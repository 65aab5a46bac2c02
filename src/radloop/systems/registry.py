"""Systems by name: every named `System` of this package, and registered ones."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Any

import radloop.systems as package
from radloop.errors import InputError
from radloop.systems.base import System

_registered: dict[str, type[System]] = {}


def register(system: type[System]) -> type[System]:
    """Make a system known that lives outside this package; usable as a class decorator."""
    _registered[system.name] = system
    return system


@cache
def _found() -> dict[str, type[System]]:
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    top: Any = System
    inside = [s for s in _below(top) if s.__module__.startswith(package.__name__)]
    return {system.name: system for system in inside if "name" in vars(system)}


def _below(parent: type[System]) -> Iterator[type[System]]:
    for child in parent.__subclasses__():
        yield child
        yield from _below(child)


def system_names() -> list[str]:
    """The names of all systems, sorted."""
    return sorted({**_found(), **_registered})


def get_system(name: str) -> System:
    """The system of that name; InputError naming the known ones otherwise."""
    known = {**_found(), **_registered}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(sorted(known))}."
        raise InputError(f"There is no system '{name}'.", hint)
    return known[name]()
