"""A denoiser whose network computes in bf16 or fp16; everything around it stays float32."""

from torch import Tensor, nn

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.device import autocast


class AutocastBackbone(nn.Module):
    """A backbone that computes under autocast, in whichever thread calls it.

    Args:
        backbone: The backbone; its weights stay float32.
        precision: bf16 or fp16.
    """

    def __init__(self, backbone: nn.Module, precision: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.precision = precision

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Return the backbone's output, [B, C, H, W]."""
        with autocast(x_t.device, self.precision):
            return self.backbone(x_t, t, label)


def lower_precision(denoiser: Denoiser, precision: str) -> Denoiser:
    """Return the denoiser with its network in a precision: fp32, bf16 or fp16."""
    if precision == "fp32":
        return denoiser
    return denoiser.around(AutocastBackbone(denoiser.backbone, precision))
