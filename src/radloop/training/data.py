"""The data of a training: prepared films or scans and targets in memory, seeded one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from radloop.training.augmentation import Answers, Boxes, SoftMask

Target = npt.NDArray[Any]


@dataclass(frozen=True)
class Sample:
    """A prepared film, uint8 `(y, x)`, or the slices of a scan, `(z, y, x)`, and its target.

    Where the network reads patches, `film` is float32 `(channels, z, y, x)` and the target a label
    map uint8 `(z, y, x)`. The target of a film is a label map uint8 `(y, x)`, soft labels uint8
    `(classes - 1, y, x)` (255 = certain), boxes float32 `(k, 5)` (x0, y0, x1, y1 in px of the film,
    class number), answers float32 `(outputs,)` (NaN = unknown), or a number; that of a scan float32
    of any shape, NaN = unknown. original: for systems that look twice, the film at its own
    resolution, read anew.
    """

    film: npt.NDArray[Any]
    target: Target
    original: Callable[[], npt.NDArray[np.uint8]] | None = None


class Films(Dataset[tuple[Tensor, Tensor]]):
    """Films and targets, augmented if a transform is given.

    Item: input float32 `(1, y, x)` in 0..255, and the target: int64 `(y, x)`, soft float32
    `(classes - 1, y, x)` in 0..1, boxes float32 `(k, 5)`, answers float32 `(outputs,)`, or int64
    `()`. Every item is drawn under
    its own seed, made of the training's seed, the epoch and the index, so that the order of
    workers, or an interruption, changes nothing.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: Callable[[Any, Any], tuple[Any, Any]] | None,
        seed: int = 0,
    ) -> None:
        self.samples = samples
        self.transform = transform
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.samples[index]
        film = torch.tensor(sample.film)[None].float()
        target = torch.tensor(sample.target)
        if target.ndim == 3:
            target = target.float() / 255.0
        elif not target.is_floating_point():
            target = target.long()
        if self.transform is None:
            return film, target
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hash((self.seed, self.epoch, index)) % (2**63))
            image = tv_tensors.Image(film / 255.0)
            moved, moved_target = self.transform(image, _mask(target))
        film = moved.as_subclass(Tensor) * 255.0
        if isinstance(moved_target, tv_tensors.Mask):
            target = moved_target.as_subclass(Tensor)[0].long()
        elif moved_target is not None:
            target = moved_target.as_subclass(Tensor)
        return film, target


def _mask(target: Tensor) -> tv_tensors.TVTensor | None:
    """The target as what augmentation moves with the film; a number stays where it is."""
    if target.ndim == 3:
        return SoftMask(target)
    if target.is_floating_point():
        return Boxes(target) if target.ndim == 2 else Answers(target)
    return tv_tensors.Mask(target[None].to(torch.uint8)) if target.ndim == 2 else None


def collate(items: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """A batch; boxes are padded to the most that a film of it has, with class -1."""
    films, targets = [film for film, _ in items], [target for _, target in items]
    if targets[0].ndim != 2 or not targets[0].is_floating_point():
        return torch.stack(films), torch.stack(targets)
    padded = torch.full((len(targets), max(len(t) for t in targets), 5), -1.0)
    for row, target in zip(padded, targets, strict=True):
        row[: len(target)] = target
    return torch.stack(films), padded


StackTransform = Callable[
    [npt.NDArray[Any], npt.NDArray[Any], np.random.Generator],
    tuple[npt.NDArray[Any], npt.NDArray[Any]],
]
"""What augments a scan and its target; all of one training's results have one shape."""


class Scans(Films):
    """Scans and targets, augmented if a transform is given; seeded like `Films`.

    Item: input float32 `(1, z, y, x)` in 0..255 and the target float32, or for patches float32
    `(channels, z, y, x)` and int64 `(z, y, x)`. repeats: how many items a sample makes.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        augment: StackTransform | None,
        seed: int = 0,
        repeats: int = 1,
    ) -> None:
        super().__init__(samples, None, seed)
        self.augment, self.repeats = augment, repeats

    def __len__(self) -> int:
        return len(self.samples) * self.repeats

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.samples[index % len(self.samples)]
        stack, target = sample.film, sample.target
        if self.augment is not None:
            rng = np.random.default_rng([self.seed, self.epoch, index])
            stack, target = self.augment(stack, target, rng)
        if stack.ndim == 4:
            return torch.tensor(stack).float(), torch.tensor(target).long()
        return torch.tensor(stack)[None].float(), torch.tensor(target).float()


class EpochSampler(torch.utils.data.Sampler[int]):
    """A shuffle of `films` that is a function of the seed and the epoch alone.

    Lightning calls `set_epoch` before it asks for the order, also after a resume; the films are
    told then, before the first of them is drawn.
    """

    def __init__(self, films: Films, seed: int) -> None:
        self.films = films
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.films)

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose order and films come next."""
        self.epoch = self.films.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(hash((self.seed, self.epoch)) % (2**63))
        return iter(torch.randperm(len(self.films), generator=generator).tolist())
