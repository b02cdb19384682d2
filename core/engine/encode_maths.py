"""From SAE inputs to activations, for wanted columns only.

Written apart from SAELens so that a run over 100 features does not pay for 24,576; a parity test holds every kind
to ``sae.encode``. Inputs are what ``sae.process_sae_in`` returns: normalised and with the decoder bias taken off
where the SAE does so.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Encoder:
    """The encoder of an SAE, or of some of its features.

    ``W_enc [d_in, n]`` and ``bias [n]`` give the pre-activation whose crossing decides firing. ``threshold [n]`` is
    JumpReLU's; ``log_scale [n]`` and ``magnitude_bias [n]`` are the gated SAE's r_mag and b_mag; ``k`` is TopK's and
    ``norms [n]`` its decoder norms where they rescale. For TopK all columns must be present.
    """

    kind: str
    W_enc: Tensor
    bias: Tensor
    threshold: Tensor | None = None
    log_scale: Tensor | None = None
    magnitude_bias: Tensor | None = None
    k: int | None = None
    norms: Tensor | None = None

    def columns(self, features: Tensor) -> Encoder:
        """The same encoder for some features only."""
        if self.kind == "topk":
            raise ValueError("TopK needs every column: a feature fires by beating the others")

        def pick(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[features].contiguous()

        return Encoder(
            self.kind,
            self.W_enc[:, features].contiguous(),
            self.bias[features].contiguous(),
            pick(self.threshold),
            pick(self.log_scale),
            pick(self.magnitude_bias),
        )

    def __call__(self, sae_in: Tensor) -> tuple[Tensor, Tensor]:
        """``sae_in [..., d_in]`` -> acts and hidden_pre, both ``[..., n]``."""
        projected = sae_in @ self.W_enc
        if self.kind == "gated":
            return self._gated(projected)
        hidden_pre = projected.add_(self.bias)
        if self.kind == "relu":
            return hidden_pre.relu(), hidden_pre
        if self.kind == "jumprelu":
            assert self.threshold is not None
            return hidden_pre.relu().mul_(hidden_pre > self.threshold), hidden_pre
        if self.norms is not None:
            hidden_pre = hidden_pre.mul_(self.norms)
        return self._topk(hidden_pre), hidden_pre

    def _gated(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Both paths share one product, since (x W exp(r)) = (x W) exp(r) column by column."""
        assert self.log_scale is not None
        assert self.magnitude_bias is not None
        gate = projected + self.bias
        magnitude = projected.mul_(self.log_scale.exp()).add_(self.magnitude_bias).relu_()
        return magnitude.mul_(gate > 0), gate

    def _topk(self, hidden_pre: Tensor) -> Tensor:
        assert self.k is not None
        values, indices = torch.topk(hidden_pre, k=self.k, dim=-1, sorted=False)
        return torch.zeros_like(hidden_pre).scatter_(-1, indices, values.relu_())
