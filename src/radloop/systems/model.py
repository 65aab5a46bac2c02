"""`Model`: a trained system in a folder.

`weights.safetensors` (never a pickle), `model.json` (system, preset, network, recipe, structures,
settings measured on validation cases, data fingerprint, code version, seed, hash of the weights)
and `card.md` (trained on, measured on, fit and unfit for).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import radloop
from radloop.errors import ModelError
from radloop.images.write import atomic_path, write_text
from radloop.systems.base import System
from radloop.systems.registry import get_system

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = 1
"""The version of the folder's layout; a model with a larger number is newer than this code."""
_SHIPPED = Path(radloop.__file__).parent / "shipped"
_FILES = ("weights.safetensors", "model.json")


@dataclass(frozen=True)
class Model:
    """A trained system. `info` is `model.json` as it stands."""

    folder: Path
    info: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.info["name"])

    @property
    def version(self) -> str:
        return str(self.info["version"])

    @property
    def sha256(self) -> str:
        return str(self.info["sha256"])

    @property
    def size(self) -> int:
        """Side of the network's input, px."""
        return int(self.info["recipe"]["size"])

    @property
    def settings(self) -> Mapping[str, Any]:
        return dict(self.info["settings"])

    @cached_property
    def system(self) -> System:
        return get_system(self.info["system"]).configured(self.info.get("options", {}))

    def card(self) -> str:
        card = self.folder / "card.md"
        return card.read_text(encoding="utf-8") if card.is_file() else "This model has no card.\n"

    def network(self) -> nn.Module:
        """The trained network, in evaluation mode, its weights checked against the hash."""
        from safetensors.torch import load_file

        path = self.folder / "weights.safetensors"
        if file_sha256(path) != self.sha256:
            raise ModelError(
                f"The weights of model '{self.name}' are not those its model.json describes.",
                "Copy the folder again from where it was trained.",
            )
        from radloop.networks.ensemble import MeanOfMembers

        count = int(self.info.get("members", 1))
        built = [
            self.system.build(self.info["network"], self.info.get("options", {}))
            for _ in range(count)
        ]
        network = MeanOfMembers(built) if count > 1 else built[0]
        weights = load_file(path)
        for name in network.state_dict() if count > 1 else ():
            # What members have in common is stored with the first.
            shared = re.sub(r"^members\.\d+\.", "members.0.", name)
            weights.setdefault(name, weights[shared])
        network.load_state_dict(weights)
        return network.eval()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shipped_models() -> list[str]:
    """The names of the models that come with the package."""
    return sorted(p.parent.name for p in _SHIPPED.glob("*/model.json"))


def load_model(name_or_folder: str | Path) -> Model:
    """A model by folder or by shipped name; ModelError when there is none or it cannot be used."""
    folder = Path(name_or_folder)
    if not folder.is_dir() and str(name_or_folder) in shipped_models():
        folder = _SHIPPED / str(name_or_folder)
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        known = shipped_models()
        close = difflib.get_close_matches(str(name_or_folder), known, n=1)
        raise ModelError(
            f"'{name_or_folder}' is not a model: {' and '.join(missing)} missing.",
            f"Did you mean '{close[0]}'?"
            if close
            else f"Give a folder that `radloop train` wrote, or one of: {', '.join(known)}.",
        )
    try:
        info = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        newer = int(info["format"]) > FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"The model.json of '{name_or_folder}' cannot be read ({type(error).__name__}).",
            "Copy the folder again from where it was trained.",
        ) from error
    if newer:
        raise ModelError(
            f"Model '{name_or_folder}' was made by a newer Radloop ({info.get('code_version')}).",
            f"This is {radloop.__version__}: upgrade it, or train the model again.",
        )
    return Model(folder, info)


def save_model(
    folder: Path, weights: Mapping[str, Tensor], info: Mapping[str, Any], card: str = ""
) -> Model:
    """Write a model folder; the hash of the weights and the format are added to `info`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "weights.safetensors") as temporary:
        save_file({k: v.contiguous() for k, v in weights.items()}, temporary)
    full = {
        "format": FORMAT,
        **info,
        "code_version": radloop.__version__,
        "sha256": file_sha256(folder / "weights.safetensors"),
    }
    write_text(folder / "model.json", json.dumps(full, indent=1) + "\n")
    if card:
        write_text(folder / "card.md", card)
    return Model(folder, full)
