"""The loss of several questions, of which each film answers some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radloop.systems.films.questions import Questions, places_of

if TYPE_CHECKING:
    from torch import Tensor


def cross_entropies(logits: Tensor, truth: Tensor, questions: Questions) -> Tensor:
    """Of every film and question, `(n, questions)`, NaN where the truth is unknown.

    logits, truth: `(n, outputs)`. Yes or no: the binary cross-entropy; one of several: that of the
    softmax over its classes.
    """
    import torch
    from torch.nn import functional as F

    logits = logits.float()
    losses = []
    for question, place in zip(questions, places_of(questions).values(), strict=True):
        said, true = logits[:, place], truth[:, place]
        unknown = true.isnan().any(1)
        true = true.nan_to_num(0.0)
        if question.classes:
            loss = -(said.log_softmax(1) * true).sum(1)
        else:
            loss = F.binary_cross_entropy_with_logits(said, true, reduction="none")[:, 0]
        losses.append(torch.where(unknown, torch.nan, loss))
    return torch.stack(losses, 1)


def mean_of_known(losses: Tensor) -> Tensor:
    """The mean over all that is known, a scalar: an answer weighs the same whichever question it
    answers, so a question weighs as much as it has answers. 0 where nothing is known."""
    known = ~losses.isnan()
    return losses.nan_to_num(0.0).sum() / known.sum().clamp(min=1)


def mean_of_films(losses: Tensor) -> Tensor:
    """The mean of each film's known losses, `(n,)`; 0 for a film of which nothing is known."""
    known = ~losses.isnan()
    return losses.nan_to_num(0.0).sum(1) / known.sum(1).clamp(min=1)
