"""Systems by name: every `System` subclass in a module of this package, and registered ones."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

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
    inside = [s for s in System.__subclasses__() if s.__module__.startswith(package.__name__)]
    return {system.name: system for system in inside}


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
