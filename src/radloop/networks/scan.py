"""Networks that read a whole scan: a stack of slices to logits of the scan and of every slice.

Input float `(n, 1, z, y, x)` on a scale that `Channels` knows how to read; output logits
`(n, 1 + z, labels)`: row 0 is the scan's, row 1 + k that of slice k. The 3D network knows no
slices; its output is `(n, 1, labels)`.

Sources: the joint CNN-RNN of Ye et al. 2019 (Eur Radiol 29:6191); neighbouring slices as channels
and the sequence model on a network that is done from the first place of the RSNA 2019 challenge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radloop.errors import InputError
from radloop.networks.density import Densities

_FARTHEST = 6.0
_TOP = 2
_EMPHASIS = 2.0


class Channels(nn.Module):
    """A stack of grey slices as the channels of a 2D network.

    Input `(n, 1, z, y, x)`, output `(n * z, channels, y, x)` in -1..1. knots: the scale of the
    input, as (grey, unit) pairs between which it is linear. windows: (low, high) in that unit, one
    or more. neighbours: each slice comes with the one below and the one above; at the ends, with
    itself.
    """

    def __init__(
        self,
        knots: Sequence[tuple[float, float]],
        windows: Sequence[tuple[float, float]],
        neighbours: bool,
    ) -> None:
        super().__init__()
        self.knots, self.windows, self.neighbours = tuple(knots), tuple(windows), neighbours

    @property
    def count(self) -> int:
        return len(self.windows) * (3 if self.neighbours else 1)

    def units(self, x: Tensor) -> Tensor:
        """The stack in the unit of the knots, of the same shape."""
        x = x.float()
        units = torch.full_like(x, self.knots[0][1])
        for (grey, unit), (next_grey, next_unit) in zip(self.knots, self.knots[1:], strict=False):
            slope = (next_unit - unit) / (next_grey - grey)
            units = units + (x - grey).clamp(0.0, next_grey - grey) * slope
        return units

    def forward(self, x: Tensor) -> Tensor:
        units = self.units(x)
        shown = [((units - a) / (b - a)).clamp(0, 1) * 2 - 1 for a, b in self.windows]
        if self.neighbours:
            shown = [
                plane
                for one in shown
                for plane in (
                    torch.cat([one[:, :, :1], one[:, :, :-1]], dim=2),
                    one,
                    torch.cat([one[:, :, 1:], one[:, :, -1:]], dim=2),
                )
            ]
        stack = torch.cat(shown, dim=1).transpose(1, 2)
        return stack.reshape(-1, self.count, *x.shape[-2:])


class SliceCnn(nn.Module):
    """Every slice by itself: a 2D encoder, pooled features of three of its levels, linear logits.

    Of each level (strides 8, 16 and 32) four numbers a channel are kept: mean and maximum over
    places, and the same of the difference between the map and its mirror image. In a head that
    stands upright in the middle that difference is the asymmetry of the two sides, by which a
    reader finds blood too. The features are standardised, and clipped at six standard deviations.
    The scan's logit is the mean of its two largest slice logits.

    frozen_norms: normalisation layers of the encoder keep the statistics they came with.
    densities: the numbers of `Densities` are features too. They are few beside the encoder's, so
    each weighs as four of those when a head is probed (`emphasis`).
    """

    def __init__(
        self,
        channels: Channels,
        labels: int,
        encoder: str = "tf_efficientnet_lite0",
        frozen_norms: bool = True,
        densities: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.labels, self.frozen_norms = channels, labels, frozen_norms
        self.encoder_name = encoder
        self.farthest = _FARTHEST
        self.encoder = _encoder(encoder, channels.count)
        self.features = nn.Identity()  # a module of its own, for heat maps to hook
        count = 4 * sum(self.encoder.feature_info.channels())
        self.emphasis = torch.ones(count)
        self.densities = Densities() if densities else None
        if densities:
            count += Densities.COUNT
            self.emphasis = torch.cat([self.emphasis, torch.full((Densities.COUNT,), _EMPHASIS)])
        self.standard = nn.BatchNorm1d(count, affine=False)
        self.head = nn.Linear(count, labels)

    def train(self, mode: bool = True) -> SliceCnn:
        super().train(mode)
        if self.frozen_norms:
            for module in self.encoder.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def pooled(self, x: Tensor) -> Tensor:
        """The features of every slice before they are standardised, `(n * z, count)`."""
        planes = self.channels(x).contiguous(memory_format=torch.channels_last)
        numbers = []
        for level, maps in enumerate(self.encoder(planes)):
            maps = self.features(maps) if level == 1 else maps
            sides = (maps - maps.flip(-1)).abs()
            for one in (maps, sides):
                numbers += [one.mean((2, 3)), one.amax((2, 3))]
        if self.densities is not None:
            scans = self.channels.units(x).transpose(1, 2)
            numbers.append(torch.cat([self.densities(scan) for scan in scans]))
        return torch.cat(numbers, dim=1).float()

    def slices(self, features: Tensor, scans: int) -> Tensor:
        """Slice logits `(n, z, labels)` from the pooled features of n scans."""
        standard = self.standard(features).clamp(-self.farthest, self.farthest)
        logits: Tensor = self.head(standard)
        return logits.reshape(scans, -1, self.labels)

    def judged(self, features: Tensor, scans: int) -> Tensor:
        """What `forward` returns, from the pooled features."""
        return with_scan(self.slices(features, scans))

    def forward(self, x: Tensor) -> Tensor:
        return self.judged(self.pooled(x), x.shape[0])


class LeakySequence(nn.Module):
    """A recurrent network for few scans: what was seen before leaks away, in both directions.

    Each label has a memory m[k] = leak * m[k - 1] + x[k] over its logits `(n, z, labels)`, run up
    and down the slices and divided by its weights; it is added to the slice's own logit with a
    learned share. Four numbers a label cannot learn a training set by heart. The linear recurrence
    is written out as a product with its weights.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.leak = nn.Parameter(torch.zeros(labels))
        self.own = nn.Parameter(torch.full((labels,), 0.5))
        self.around = nn.Parameter(torch.full((labels,), 0.5))
        self.bias = nn.Parameter(torch.zeros(labels))

    def forward(self, logits: Tensor) -> Tensor:
        place = torch.cumsum(torch.ones_like(logits[:1, :, 0]), dim=1)  # 1, 2, ... for any length
        apart = (place.transpose(0, 1) - place).abs()
        weights = torch.exp(F.logsigmoid(self.leak)[:, None, None] * apart)
        weights = weights / weights.sum(-1, keepdim=True)
        memory = (weights @ logits.permute(2, 1, 0)).permute(2, 1, 0)
        return self.own * logits + self.around * memory + self.bias


class GruSequence(nn.Module):
    """A bidirectional GRU that corrects logits `(n, z, labels)`, as in Ye et al.; it starts with no
    correction."""

    def __init__(self, labels: int, hidden: int = 48) -> None:
        super().__init__()
        self.gru = nn.GRU(labels, hidden, bidirectional=True, batch_first=True)
        self.leave = nn.Linear(2 * hidden, labels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, logits: Tensor) -> Tensor:
        along, _ = self.gru(logits / 2)
        result: Tensor = logits + self.leave(along)
        return result


class CnnRnn(SliceCnn):
    """The joint CNN-RNN: a recurrent network reads the slices' logits in anatomical order.

    What a slice says is weighed by what lies above and below it. sequence: "gru" or "leaky".
    """

    def __init__(
        self, channels: Channels, labels: int, sequence: str = "gru", **options: Any
    ) -> None:
        super().__init__(channels, labels, **options)
        if sequence not in ("gru", "leaky"):
            raise InputError(f"There is no sequence '{sequence}'.", "Known: gru, leaky.")
        self.sequence = GruSequence(labels) if sequence == "gru" else LeakySequence(labels)

    def judged(self, features: Tensor, scans: int) -> Tensor:
        logits = self.slices(features, scans)
        corrected = with_scan(self.sequence(logits))
        if not self.training:
            return corrected
        # In training the slice network must stand by itself too, or the sequence does its work.
        return torch.cat([corrected, with_scan(logits)], dim=1)


class Cnn3d(nn.Module):
    """A 3D network over the whole scan (MONAI), resampled to `depth` slices; scan logits alone.

    network: "resnet10", "resnet18", "resnet34" (He et al. 2016 in 3D) or "densenet121". head:
    "parallel", a binary head a label, or "softmax", one choice between no bleed and the types; its
    probabilities are returned as log odds, label 0 being "any".
    """

    def __init__(
        self,
        channels: Channels,
        labels: int,
        network: str = "resnet10",
        depth: int = 32,
        head: str = "parallel",
        widths: Sequence[int] = (32, 64, 128, 256),
    ) -> None:
        super().__init__()
        if head not in ("parallel", "softmax"):
            raise InputError(f"There is no head '{head}'.", "Known: parallel, softmax.")
        self.channels, self.depth, self.head = channels, depth, head
        self.network = _network_3d(network, channels.count, labels, widths)

    def forward(self, x: Tensor) -> Tensor:
        planes = self.channels(x)
        n, z = x.shape[0], x.shape[2]
        volume = planes.reshape(n, z, *planes.shape[1:]).transpose(1, 2)
        size = (self.depth, *volume.shape[-2:])
        volume = F.interpolate(volume, size=size, mode="trilinear", align_corners=False)
        logits: Tensor = self.network(volume).float()
        if self.head == "softmax":
            # Class 0 is "no bleed" here, so its log odds change sign to become those of "any".
            log_p = logits.log_softmax(-1)
            odds = log_p - torch.log1p(-log_p.exp().clamp(max=1 - 1e-6))
            logits = torch.cat([-odds[:, :1], odds[:, 1:]], dim=1)
        return logits[:, None]


class ManyHeads(nn.Module):
    """The mean of slice networks that have one encoder between them, which is run once."""

    def __init__(self, members: Sequence[SliceCnn]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        features = cast(SliceCnn, self.members[0]).pooled(x)
        judged = [cast(SliceCnn, member).judged(features, x.shape[0]) for member in self.members]
        return torch.stack(judged).mean(0)


def one_encoder(network: nn.Module) -> nn.Module:
    """The members of an ensemble as `ManyHeads` where their encoders are equal, as those of a probe
    are; any other network as it is."""
    members = getattr(network, "members", ())
    if len(members) < 2 or not all(isinstance(member, SliceCnn) for member in members):
        return network
    first, *others = [{**m.channels.state_dict(), **m.encoder.state_dict()} for m in members]
    same = all(torch.equal(first[name], other[name]) for other in others for name in first)
    return ManyHeads(list(members)) if same else network


class BothWays(nn.Module):
    """The mean of a scan's logits and those of the same scan mirrored and in reversed order."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        there: Tensor = self.network(x)
        back = self.network(x.flip(2, 4))
        back = torch.cat([back[:, :1], back[:, 1:].flip(1)], dim=1)
        return (there + back) / 2


SCAN_NETWORKS: Mapping[str, type[nn.Module]] = {
    "slice_cnn": SliceCnn,
    "cnn_rnn": CnnRnn,
    "cnn_3d": Cnn3d,
}


def build_scan(name: str, channels: Channels, labels: int, options: Mapping[str, Any]) -> nn.Module:
    """The named network; InputError for an unknown name or an option it does not take."""
    if name not in SCAN_NETWORKS:
        raise InputError(
            f"There is no scan network '{name}'.", f"Known: {', '.join(SCAN_NETWORKS)}."
        )
    try:
        return SCAN_NETWORKS[name](channels, labels, **options)
    except TypeError as error:
        raise InputError(f"Network '{name}' does not take these options: {error}.") from error


def with_scan(slices: Tensor) -> Tensor:
    """Slice logits `(n, z, labels)` with the scan's before them: the mean of the two largest."""
    if slices.shape[1] < _TOP:
        return torch.cat([slices.amax(dim=1, keepdim=True), slices], dim=1)
    top = slices.topk(_TOP, dim=1).values.mean(dim=1, keepdim=True)
    return torch.cat([top, slices], dim=1)


def _encoder(name: str, channels: int) -> Any:
    """Encoder weights are never fetched here: `training.weights` loads them when asked to."""
    import timm

    try:
        return timm.create_model(
            name, pretrained=False, features_only=True, in_chans=channels, out_indices=(-3, -2, -1)
        )
    except (RuntimeError, AttributeError, ValueError) as error:
        raise InputError(
            f"timm cannot build an encoder '{name}': {error}", "See timm.list_models()."
        ) from error


def _network_3d(name: str, channels: int, labels: int, widths: Sequence[int]) -> nn.Module:
    from monai.networks.nets.densenet import DenseNet121
    from monai.networks.nets.resnet import ResNet

    blocks = {"resnet10": (1, 1, 1, 1), "resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
    if name in blocks:
        return ResNet(
            "basic", list(blocks[name]), list(widths), n_input_channels=channels,
            num_classes=labels, conv1_t_size=7, conv1_t_stride=(1, 2, 2),  # type: ignore[arg-type]
        )  # fmt: skip
    if name == "densenet121":
        return DenseNet121(spatial_dims=3, in_channels=channels, out_channels=labels)
    raise InputError(
        f"There is no 3D network '{name}'.", f"Known: {', '.join(blocks)}, densenet121."
    )
