"""What is true of a head CT: any bleed and five types, of the scan and of its slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.cases.slices import read_slice_labels
from radloop.images.image import Image

if TYPE_CHECKING:
    from torch import Tensor

Labels = npt.NDArray[np.float32]

ANY = "any"
KINDS = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
LABELS = (ANY, *KINDS)
WEIGHTS = (2.0, 1.0, 1.0, 1.0, 1.0, 1.0)
"""Of the labels, in the loss and in the log loss, as in the RSNA 2019 challenge."""


def truth_of(case: Case, image: Image) -> tuple[Labels, Labels]:
    """Labels of the scan `(labels,)` and of the file's slices `(z, labels)`, NaN = unknown."""
    z = image.array.shape[0]
    files = tuple(image.acquisition.get("slices", ())) or ("",) * z
    slices = np.full((z, len(LABELS)), np.nan, np.float32)
    if case.reference.slices is not None:
        slices = read_slice_labels(case.reference.slices, files, LABELS)
        kinds = slices[:, 1:]
        derived = np.where((kinds == 1).any(1), 1.0, np.where(np.isnan(kinds).any(1), np.nan, 0.0))
        slices[:, 0] = np.where(np.isnan(slices[:, 0]), derived, slices[:, 0])
    scan = strongest(slices)
    for k, label in enumerate(LABELS):
        if label in case.reference.labels:
            scan[k] = float(case.reference.labels[label])
    return scan, slices


def strongest(rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """1 where any row has a label, else NaN where any is unknown, else 0; `(labels,)`."""
    unknown = np.isnan(rows).any(0)
    return np.where((rows == 1).any(0), 1.0, np.where(unknown, np.nan, 0.0)).astype(np.float32)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """`(n,)`. logits `(n, rows, labels)` with the rows of the target, once or twice (a network
    that trains a second answer), or its first alone; NaN in the target is left out."""
    import torch
    from torch.nn import functional as F

    rows = target.shape[1]
    if logits.shape[1] == 1:
        target = target[:, :1]
    elif logits.shape[1] > rows:
        target = torch.cat([target, target], dim=1)
    weights = torch.tensor(WEIGHTS, device=logits.device).expand(target.shape).clone()
    weights[:, 0] *= 2
    if logits.shape[1] > rows:
        weights[:, rows] *= 2
    weights = weights * ~target.isnan()
    # Labels are readers', not truth: a hundredth of doubt keeps logits finite.
    truth = target.nan_to_num(0.0) * 0.98 + 0.01
    loss = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    return (loss * weights).sum((1, 2)) / weights.sum((1, 2)).clamp(min=1e-6)
