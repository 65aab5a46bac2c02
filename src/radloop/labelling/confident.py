"""Confident learning: how many labels of each class are wrong, and which (Northcutt, Jiang and
Chuang 2021, J Artif Intell Res 70:1373).

It rests on probabilities from models that did not learn from the item, and on one assumption: that
the chance of a wrong label depends on the class, not on the image. Labels that are wrong *because*
the image is hard look right to the model, too: they need a random audit (`remaining.py`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from radloop.labelling.pool import Numbers

Labels = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def self_confidence(labels: Labels, distribution: Numbers) -> Numbers:
    """The probability of each item's label, `(n,)`. labels: `(n,)`, the number of a class;
    distribution: `(n, classes)`."""
    return np.asarray(distribution[np.arange(len(labels)), labels])


def margins(labels: Labels, distribution: Numbers) -> Numbers:
    """The largest probability of another class minus that of the label, `(n,)` in [-1, 1]; the
    larger, the likelier is the label wrong."""
    others = distribution.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return np.asarray(others.max(axis=1) - self_confidence(labels, distribution))


def class_thresholds(labels: Labels, distribution: Numbers) -> Numbers:
    """How sure the model is of each class on average where it is the label, `(classes,)`: above it
    an item is confidently of the class. Infinite for a class that no item has."""
    classes = distribution.shape[1]
    return np.array(
        [
            distribution[labels == c, c].mean() if (labels == c).any() else np.inf
            for c in range(classes)
        ]
    )


def confident_joint(labels: Labels, distribution: Numbers) -> Labels:
    """Counts `(classes, classes)`: items labelled i (row) that are confidently of class j (column).

    Confidently: the probability reaches the threshold of the class; of several such classes the
    likeliest counts. An item that is confidently of none is not counted.
    """
    classes = distribution.shape[1]
    # The mean of equal numbers may come out a rounding above them.
    reaches = distribution >= class_thresholds(labels, distribution) - 1e-9
    counted = reaches.any(axis=1)
    seen = np.argmax(np.where(reaches, distribution, -1.0), axis=1)
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (labels[counted], seen[counted]), 1)
    return joint


def estimated_joint(labels: Labels, distribution: Numbers) -> Numbers:
    """The joint distribution of given label (row) and true class (column): the confident counts,
    each row scaled to as many items as have that label, as shares that sum to 1.

    A row without a confident item counts as right.
    """
    joint = confident_joint(labels, distribution).astype(np.float64)
    diagonal = np.einsum("ii->i", joint)
    diagonal[joint.sum(axis=1) == 0] = 1.0
    given = np.bincount(labels, minlength=len(joint))
    joint *= (given / joint.sum(axis=1))[:, None]
    return np.asarray(joint / given.sum())


def estimated_error(labels: Labels, distribution: Numbers) -> float:
    """The share of labels that confident learning takes for wrong, in [0, 1]. It is an opinion of
    the model on its own training labels, not a measurement: see `remaining.py`."""
    joint = estimated_joint(labels, distribution)
    return float(joint.sum() - np.trace(joint))


def label_issues(labels: Labels, distribution: Numbers) -> Flags:
    """Which labels are taken for wrong, `(n,)`: "prune by noise rate". Of the items labelled i, as
    many as are estimated to be of class j, those with the largest probability of j over i."""
    joint = estimated_joint(labels, distribution) * len(labels)
    found = np.zeros(len(labels), np.bool_)
    for i in range(len(joint)):
        own = np.flatnonzero(labels == i)
        for j in range(len(joint)):
            if i != j:
                count = min(round(float(joint[i, j])), own.size)
                margin = distribution[own, j] - distribution[own, i]
                found[own[np.argsort(-margin, kind="stable")[:count]]] = True
    return found
