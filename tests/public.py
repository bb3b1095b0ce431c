"""Public checkpoints made for tests, with their logits written out without our models."""

import torch
from torch import nn


def public(width=4, modes=3, classes=10, layers=1, channels=1, norm=False):
    """A state dict of ``example.py`` of state-spaces/s4, and its logits by convolution,
    written out without our model."""
    torch.manual_seed(5)
    state = {"encoder.weight": torch.randn(width, channels), "encoder.bias": torch.randn(width)}
    for i in range(layers):
        layer = f"s4_layers.{i}"
        state |= {
            f"{layer}.D": torch.randn(width),
            f"{layer}.kernel.C": torch.randn(width, modes, 2),
            f"{layer}.kernel.log_dt": torch.rand(width) - 4,
            f"{layer}.kernel.log_A_real": torch.randn(width, modes),
            f"{layer}.kernel.A_imag": torch.randn(width, modes) * 4,
            f"{layer}.output_linear.0.weight": torch.randn(2 * width, width, 1),
            f"{layer}.output_linear.0.bias": torch.randn(2 * width),
        }
        if norm:
            state |= {
                f"norms.{i}.weight": torch.rand(width) + 0.5,
                f"norms.{i}.bias": torch.randn(width),
            }
    state |= {"decoder.weight": torch.randn(classes, width), "decoder.bias": torch.randn(classes)}
    s = {name: tensor.double() for name, tensor in state.items()}

    def normed(u, i):
        return nn.functional.layer_norm(
            u, [width], s[f"norms.{i}.weight"], s[f"norms.{i}.bias"], 1e-5
        )

    def forward(x, order="none", pooling="mean"):
        u, time = x.double() @ s["encoder.weight"].T + s["encoder.bias"], torch.arange(x.shape[1])
        for i in range(layers):
            z = normed(u, i) if order == "prenorm" else u
            a = (
                -s[f"s4_layers.{i}.kernel.log_A_real"].exp()
                + 1j * s[f"s4_layers.{i}.kernel.A_imag"]
            )
            dt_a = a * s[f"s4_layers.{i}.kernel.log_dt"].exp()[:, None]
            c = torch.view_as_complex(s[f"s4_layers.{i}.kernel.C"]) * (dt_a.exp() - 1) / a
            kernel = 2 * torch.einsum("hn,hnl->lh", c, (dt_a[..., None] * time).exp()).real
            y = (
                torch.stack([(z[:, : t + 1].flip(1) * kernel[: t + 1]).sum(1) for t in time], 1)
                + z * s[f"s4_layers.{i}.D"]
            )
            weight, bias = (
                s[f"s4_layers.{i}.output_linear.0.{part}"] for part in ("weight", "bias")
            )
            u = u + nn.functional.glu(nn.functional.gelu(y) @ weight[..., 0].T + bias, dim=-1)
            u = normed(u, i) if order == "postnorm" else u
        pooled = {"mean": u.mean(1), "last": u[:, -1], "max": u.amax(1)}[pooling]
        return pooled @ s["decoder.weight"].T + s["decoder.bias"]

    return state, forward
