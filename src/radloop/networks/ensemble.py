"""Several networks as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


class MeanOfMembers(nn.Module):
    """The mean of the logits of several networks with one kind of input and output."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Any) -> Any:
        total = self.members[0](x)
        for member in list(self.members)[1:]:
            total = total + member(x)
        return total / len(self.members)
