"""Phantom chests, small enough to train on in seconds, and a tiny model trained on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from radloop.cases.importing import import_masks
from radloop.cases.split import split_cases
from radloop.cases.table import CaseTable, read_cases, write_cases
from radloop.images.write import write_png

pytest_plugins = ["made_room", "made_store"]

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

STRUCTURES = ("heart", "left_lung", "right_lung")


@dataclass(frozen=True)
class Phantom:
    """A drawn chest film with its masks; `ctr` follows from the ellipses' axes alone."""

    film: np.ndarray
    masks: dict[str, np.ndarray]
    ctr: float


def draw_phantom(seed: int, side: int = 96) -> Phantom:
    """Two dark elliptic lungs and a bright elliptic heart on a grey trunk."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side].astype(np.float64)
    middle, level = side / 2 + rng.uniform(-3, 3), side / 2 + rng.uniform(-3, 3)
    gap, lung_x, lung_y = side * 0.2, side * rng.uniform(0.13, 0.16), side * rng.uniform(0.26, 0.31)
    heart_x, heart_y = side * rng.uniform(0.13, 0.2), side * rng.uniform(0.13, 0.16)

    def ellipse(cy: float, cx: float, ry: float, rx: float) -> np.ndarray:
        return ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1

    heart = ellipse(level + lung_y * 0.45, middle + 2, heart_y, heart_x)
    left = ellipse(level, middle + gap, lung_y, lung_x) & ~heart
    right = ellipse(level, middle - gap, lung_y, lung_x) & ~heart
    film = np.full((side, side), 20.0)
    film[:, int(side * 0.08) : int(side * 0.92)] = 120
    film[left | right] = 60
    film[heart] = 190
    film[4:8, 6:10] = 250  # the side marker
    film += rng.normal(0, 4, film.shape)
    return Phantom(
        np.clip(film, 0, 255).astype(np.uint8),
        {"heart": heart, "left_lung": left, "right_lung": right},
        2 * heart_x / (2 * (gap + lung_x)),
    )


def write_phantoms(folder: Path, n: int) -> CaseTable:
    """`n` films of `n - 2` patients under `folder`, imported and split; returns the table."""
    values = ["id,ctr"]
    for k in range(n):
        phantom = draw_phantom(k)
        name = f"p{min(k, n - 3):03d}_{k}.png"
        write_png(folder / "images" / name, phantom.film)
        for structure, mask in phantom.masks.items():
            write_png(folder / "masks" / structure / name, (mask * 255).astype(np.uint8))
        values.append(f"{name},{phantom.ctr:.4f}")
    (folder / "ctr.csv").write_text("\n".join(values) + "\n")
    masks = {s: folder / "masks" / s for s in STRUCTURES}
    table = folder / "cases.csv"
    import_masks(folder / "images", masks, folder / "ctr.csv", r"^(p\d+)_", out=table)
    write_cases(split_cases(read_cases(table), fractions=(0.7, 0.3), seed=1), table)
    return read_cases(table)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Networks are converted anew: what an older state of the code has cached proves nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> CaseTable:
    """The case table of 40 phantom films."""
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), 40)


@pytest.fixture(scope="session")
def tiny_model(phantoms: CaseTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny cardiomegaly model trained on the phantoms."""
    from radloop.systems.fit import TrainOptions, fit
    from radloop.systems.registry import get_system

    folder = tmp_path_factory.mktemp("models") / "tiny"
    options = TrainOptions(preset="tiny", epochs=40, quiet=True, device="cpu")
    fit(get_system("cardiomegaly"), phantoms, folder, options)
    return folder
