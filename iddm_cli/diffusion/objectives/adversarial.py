"""The adversarial loss of an autoencoder: a discriminator tells its images from real ones.

As in VQGAN (Esser et al. 2021, arXiv:2012.09841, section 3.1): L1 is content with a blurred
texture, a discriminator of patches is not. What the autoencoder is trained on is

    reconstruction + weight * adaptive * adversarial,        adversarial = -D(reconstruction)

with the adaptive weight of eq. 7; the discriminator's own loss is the hinge loss (Lim & Ye 2017,
arXiv:1705.02894).
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.objectives.reconstruction import Reconstructor, measure_reconstruction_loss

DELTA = 1e-6
"""Added to the norm that the adaptive weight divides by (arXiv:2012.09841, eq. 7)."""

LARGEST_WEIGHT = 1e4
"""The largest adaptive weight, as in VQGAN's code."""


def compute_hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's loss for each image and its reconstruction, [B].

    Args:
        real: How real each patch of the images looks to it, [B, patches].
        fake: The same of their reconstructions.
    """
    return (relu(1 - real).mean(1) + relu(1 + fake).mean(1)) / 2


def compute_adaptive_weight(reconstruction: Tensor, adversarial: Tensor) -> Tensor:
    """Return the adaptive weight of each image, [B] (arXiv:2012.09841, eq. 7).

    For each image by itself, as the expectation of eq. 6 has it, so that no other image of the
    batch, and no other process, decides it.

    Args:
        reconstruction: Norm of the gradient of each reconstruction loss by the last layer, [B].
        adversarial: The same of each adversarial loss.
    """
    return (reconstruction / (adversarial + DELTA)).clamp(max=LARGEST_WEIGHT)


@runtime_checkable
class HasLastLayer(Protocol):
    """An autoencoder that knows the gradients of its last layer."""

    def edge_layers(self) -> list[nn.Module]:
        """Return the layers that read images and write them."""
        ...

    def measure_last_layer(self, features: Tensor, gradient: Tensor) -> Tensor:
        """Return the norm of the gradient of each image's loss by the last layer's weights, [B]."""
        ...


@contextmanager
def keep_input(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Keep what a layer reads inside the context, without its gradient."""
    kept: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].detach()))
    try:
        yield kept
    finally:
        hook.remove()


class AdversarialObjective:
    """The loss of reconstruction, and from one step on the adversarial loss as well.

    The value of a loss is that of the reconstruction alone, so that all losses of a run can be
    compared; its gradient is that of the whole, by the autoencoder and by the discriminator.
    Neither gets a gradient of the other's loss.

    Args:
        discriminator: From images, [B, C, H, W], to how real their patches look, [B, patches].
        weight: Weight of the adversarial loss, when its gradient is as long as the other's.
        start: The step it begins with.
        in_fp32: Whether the discriminator computes in float32, whatever else does: in fp16 its
            gradients would be rounded to zero.

    Attributes:
        measured: Sums over the images since `begin`, scalars: the adversarial loss, the
            discriminator's, and the adaptive weight.
    """

    extra_passes = 0.0
    """Those of the discriminator are not counted: it is another network."""

    def __init__(
        self, discriminator: nn.Module, *, weight: float, start: int, in_fp32: bool = False
    ) -> None:
        self.discriminator = discriminator
        self.weight = weight
        self.start = start
        self.in_fp32 = in_fp32
        self.measured: dict[str, Tensor] = {}

    def begin(self) -> None:
        """Forget what was measured before."""
        self.measured = {}

    def losses(
        self,
        denoiser: Denoiser,
        x: Tensor,
        t: Tensor,
        noise: Tensor,
        label: Tensor,
        *,
        target: Denoiser,
        step: int,
    ) -> Tensor:
        """Return the loss of each image's reconstruction, [B], with the gradients of all losses."""
        autoencoder = target.backbone
        assert isinstance(denoiser, Reconstructor), "denoisers have no discriminator"
        assert isinstance(autoencoder, HasLastLayer), "autoencoders have a last layer"
        if step < self.start:
            return denoiser.loss(x, t, noise, label)
        with keep_input(autoencoder.edge_layers()[-1]) as kept:
            reconstruction = denoiser.reconstruct(x, t, noise, label)
        losses = measure_reconstruction_loss(reconstruction - x)
        seen = reconstruction.detach()
        with torch.autocast(x.device.type, enabled=False) if self.in_fp32 else nullcontext():
            adversarial, slope = self._judge(seen)
            hinge = compute_hinge_loss(self.discriminator(x), self.discriminator(seen))
        adaptive = compute_adaptive_weight(
            autoencoder.measure_last_layer(kept[-1], find_slope(seen, x)),
            autoencoder.measure_last_layer(kept[-1], slope),
        )
        self._add(adversarial=adversarial, hinge=hinge, adaptive=adaptive)
        # A product with the slope has the gradient of what it is the slope of.
        weight = self.weight * adaptive.view(-1, 1, 1, 1)
        pull = (weight * slope * reconstruction).flatten(1).sum(1)
        others = pull + hinge
        return losses + (others - others.detach())

    def _judge(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the adversarial loss of reconstructions, [B], and its gradient by them."""
        with torch.enable_grad():
            leaf = seen.clone().requires_grad_()
            adversarial = -self.discriminator(leaf).mean(1)
            # By these images alone: the discriminator gets no gradient of this loss.
            (slope,) = torch.autograd.grad(adversarial.sum(), leaf)
        return adversarial.detach(), slope

    def _add(self, *, adversarial: Tensor, hinge: Tensor, adaptive: Tensor) -> None:
        sums = {
            "adversarial_loss": adversarial.sum(),
            "discriminator_loss": hinge.detach().sum(),
            "adaptive_weight": adaptive.sum(),
        }
        for name, value in sums.items():
            self.measured[name] = self.measured.get(name, torch.zeros_like(value)) + value


def find_slope(reconstruction: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of each loss of reconstruction by the reconstruction, [B, C, H, W]."""
    with torch.enable_grad():
        leaf = reconstruction.clone().requires_grad_()
        (slope,) = torch.autograd.grad(measure_reconstruction_loss(leaf - x).sum(), leaf)
    return slope
