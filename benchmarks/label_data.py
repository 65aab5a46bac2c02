"""The two sets of real images that the labelling benchmarks ask about, as features and truth.

Frozen ImageNet features (EfficientNet-Lite0, extra `pretrained`) are computed once and kept in a
file; what a round of labelling then costs is a small head. `bone`: is a bone broken on this film;
films that show the same (copies, crops) count as one patient. `head`: does this slice of a head CT
show blood of any kind, by the features of the `hemorrhage` system.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.systems.registry import get_system

Numbers = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]

ENCODER = "tf_efficientnet_lite0"
SIDE = 320
COMPONENTS = 256
SETS = ("bone", "head")


@dataclass(frozen=True)
class Items:
    """n items: names `(n,)`, patients `(n,)`, truth `(n,)` of 0 and 1, features `(n, d)`."""

    names: Names
    patients: Names
    truth: npt.NDArray[np.int64]
    features: Numbers

    def __len__(self) -> int:
        return len(self.names)

    def take(self, at: npt.NDArray[Any]) -> Items:
        """The items at these places."""
        return Items(self.names[at], self.patients[at], self.truth[at], self.features[at])


def load(name: str, data: Path, cache: Path) -> Items:
    """The set `name` below `data`; from `cache` where it was computed before."""
    path = cache / f"label-{name}.npz"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        names, patients, truth, features = _bone(data) if name == "bone" else _head(data)
        np.savez(path, names=names, patients=patients, truth=truth, features=features)
    with np.load(path) as kept:
        return Items(
            kept["names"],
            kept["patients"],
            kept["truth"].astype(np.int64),
            kept["features"].astype(np.float64),
        )


def projected(
    train: Numbers, other: Numbers, components: int = COMPONENTS
) -> tuple[Numbers, Numbers]:
    """Both on the principal components of `train`, standardised and clipped first; no label is
    used. The components keep their own spread; that of the first is 1."""
    mean, spread = train.mean(0), train.std(0) + 1e-6
    a, b = (np.clip((x - mean) / spread, -6, 6) for x in (train, other))
    centre = a.mean(0)
    _, size, axes = np.linalg.svd(a - centre, full_matrices=False)
    axes = axes[:components]
    scale = size[0] / np.sqrt(len(a))
    return (a - centre) @ axes.T / scale, (b - centre) @ axes.T / scale


def _bone(data: Path) -> tuple[Names, Names, Numbers, Numbers]:
    from radloop.cases.near_duplicates import near_duplicates, thumbnail
    from radloop.images.read import read_radiograph

    films, thumbs, broken, names = [], [], [], []
    for path in sorted((data / "bone/images").iterdir()):
        image = read_radiograph(path).image
        assert image is not None, path.name
        grey = np.asarray(image.array, np.float32)
        thumbs.append(thumbnail(grey.astype(np.uint8)))
        films.append(_padded(grey))
        outlines = data / "bone/labels" / f"{path.stem}.txt"
        broken.append(bool(outlines.read_text(encoding="utf-8").strip()))
        names.append(path.stem)
    pairs = [(copy.first, copy.second) for copy in near_duplicates(thumbs)]
    return np.array(names), _groups(len(names), pairs), np.array(broken, float), _encoded(films)


def _padded(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The film in a square of `SIDE`, its aspect kept, black around it."""
    import cv2

    scale = SIDE / max(grey.shape)
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    square = np.zeros((SIDE, SIDE), np.float32)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    square[top : top + height, left : left + width] = cv2.resize(
        grey, (width, height), interpolation=cv2.INTER_AREA
    )
    return square


def _encoded(films: list[npt.NDArray[np.float32]]) -> Numbers:
    """Of three levels the mean and the maximum over places, and what ImageNet's head is given."""
    import timm
    import torch

    from radloop.training.pretrained import adapted_stem, bundled_imagenet

    weights = bundled_imagenet(ENCODER)
    assert weights is not None, "install the extra `pretrained`"
    network = timm.create_model(ENCODER, pretrained=False, in_chans=1)
    weights["conv_stem.weight"] = adapted_stem(weights["conv_stem.weight"], 1)
    network.load_state_dict(weights)
    network.eval()
    rows = []
    with torch.inference_mode():
        for start in range(0, len(films), 16):
            batch = torch.from_numpy(np.stack(films[start : start + 16]))[:, None] / 127.5 - 1.0
            last, levels = network.forward_intermediates(batch, indices=[2, 3, 4])
            numbers = [network.forward_head(last, pre_logits=True)]
            numbers += [pooled for one in levels for pooled in (one.mean((2, 3)), one.amax((2, 3)))]
            rows.append(torch.cat(numbers, 1).numpy())
    return np.concatenate(rows)


def _groups(n: int, pairs: list[tuple[int, int]]) -> Names:
    """The name of each item's group: items that a chain of pairs joins are one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = np.array(pairs, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (first, second)), shape=(n, n))
    return np.array([f"g{number}" for number in connected_components(graph, directed=False)[1]])


def _head(data: Path) -> tuple[Names, Names, Numbers, Numbers]:
    """By patient: the scan upright, brain only, three neighbouring slices as channels."""
    import torch

    from radloop.cases.slices import import_slices
    from radloop.training.weights import load_weights

    system = get_system("hemorrhage")
    preset = system.presets["slice-cnn"]
    network = system.build(preset.network, preset.options).eval()
    load_weights(network, "imagenet")
    kinds = ("Intraventricular", "Intraparenchymal", "Subarachnoid", "Epidural", "Subdural")
    names, patients, truth, rows = [], [], [], []
    with tempfile.TemporaryDirectory() as temporary:
        table = import_slices(
            data / "head_ct/images",
            data / "head_ct/slices.csv",
            "PatientNumber",
            "SliceNumber",
            {kind.lower(): kind for kind in kinds},
            out=Path(temporary) / "cases.csv",
            any_label="any",
        ).table
        for case in table.cases:
            image = system.read_case(case.images).image
            assert image is not None, case.case_id
            stack = np.ascontiguousarray(system.prepare(image, preset.recipe.size))
            target = system.target(case, image, preset.recipe.size)[1:, 0]
            with torch.inference_mode():
                film = torch.from_numpy(stack)[None, None].float()
                found = network.pooled(film).numpy()  # type: ignore[operator]
            known = ~np.isnan(target)
            names += [f"{case.case_id}/{k}" for k in np.flatnonzero(known)]
            patients += [case.patient_id] * int(known.sum())
            truth.append(target[known])
            rows.append(found[known])
    return np.array(names), np.array(patients), np.concatenate(truth), np.concatenate(rows)
