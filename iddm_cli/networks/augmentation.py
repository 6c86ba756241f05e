"""The layer that conditions a network on the augmentation of its images."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class AugmentationEmbedding(nn.Module):
    """A linear map without bias from a description of the augmentation to the time embedding.

    Where nothing was changed the description is 0, and so is its embedding: a network that only
    generates needs no such layer (Karras et al. 2022, arXiv:2206.00364, appendix F.2). It starts
    from zero, and samples no initial weights, so that those of the other layers stay as they are.

    Args:
        conditions: Length of the description.
        out: Length of the embedding.
    """

    def __init__(self, conditions: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out, conditions))

    def forward(self, augmentation: Tensor) -> Tensor:
        """Return [B, out] for descriptions, [B, conditions]."""
        return functional.linear(augmentation, self.weight)


class ConditionedBackbone(nn.Module):
    """A backbone that is conditioned on the augmentation of the images of one batch.

    Args:
        backbone: `backbone(x_t, t, label, augmentation)` returns a tensor shaped like x_t.
        augmentation: The description of each image's augmentation, [B, conditions].
    """

    def __init__(self, backbone: nn.Module, augmentation: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.augmentation = augmentation

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Return the backbone's output, [B, C, H, W]."""
        return self.backbone(x_t, t, label, self.augmentation)


def find_augmentation(backbone: nn.Module) -> AugmentationEmbedding | None:
    """Return the layer for augmentation of a backbone, or None."""
    layers = (one for one in backbone.modules() if isinstance(one, AugmentationEmbedding))
    return next(layers, None)


def remove_augmentation(backbone: nn.Module) -> None:
    """Remove the layer for augmentation from a backbone that will only generate."""
    for module in list(backbone.modules()):
        if isinstance(getattr(module, "augmentation", None), AugmentationEmbedding):
            setattr(module, "augmentation", None)  # noqa: B010
