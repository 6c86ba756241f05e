"""A denoiser whose network computes in bf16 or fp16; everything around it stays float32."""

import copy

from torch import Tensor, nn

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.device import autocast
from iddm_cli.engine.kernel_choice import USUAL
from iddm_cli.networks.kernels import KERNELS, use_kernels


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
    """Return the denoiser with its network in a precision: fp32, bf16 or fp16.

    On the CPU it has a copy of the network, with the kernels that are usually the fastest there in
    a lower precision. They are not measured: the same images need the same kernels.
    """
    if precision == "fp32":
        return denoiser
    backbone = denoiser.backbone
    if denoiser.schedule.alpha.device.type == "cpu":
        backbone = copy.deepcopy(backbone)
        use_kernels(backbone, KERNELS[USUAL])
    return denoiser.around(AutocastBackbone(backbone, precision))
