"""Draws pictures of a class with a UNet2DModel that has learnt classes.

diffusers' own pipelines call such a network without its class labels, so the folder carries this
one. It needs diffusers and torch, and nothing else:

    from diffusers import DiffusionPipeline
    pipeline = DiffusionPipeline.from_pretrained("FOLDER", trust_remote_code=True)
    pipeline(class_labels=[0, 0, 1]).images[0].save("first.png")
"""

import inspect
from fractions import Fraction

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from diffusers.utils.torch_utils import randn_tensor


class ClassConditionalPipeline(DiffusionPipeline):
    """Classifier-free guidance (arXiv:2207.12598) over a class-conditional UNet2DModel.

    Args:
        unet: The network; the last row of its class embedding means "no class".
        scheduler: Takes it from noise to pictures.
        class_names: Names of the classes, by index.
        guidance_scale: 1 is none; larger follows the class harder.
        num_inference_steps: Solver steps.
    """

    model_cpu_offload_seq = "unet"

    def __init__(
        self,
        unet,
        scheduler,
        class_names: list[str] | None = None,
        guidance_scale: float = 1.0,
        num_inference_steps: int = 20,
    ):
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.register_to_config(
            class_names=class_names,
            guidance_scale=guidance_scale,
            num_inference_steps=num_inference_steps,
        )

    def labels(self, classes: int | str | list[int | str]) -> torch.Tensor:
        """Turn names or indices of classes into labels."""
        if isinstance(classes, (int, str)):
            classes = [classes]
        names = list(self.config.class_names or [])
        found = [names.index(one) if isinstance(one, str) else int(one) for one in classes]
        if not all(0 <= label < len(names) for label in found):
            raise ValueError(f"there are the classes {dict(enumerate(names))}")
        return torch.tensor(found, device=self.device)

    @torch.no_grad()
    def __call__(
        self,
        class_labels: int | str | list[int | str],
        guidance_scale: float | None = None,
        num_inference_steps: int | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: torch.Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> ImagePipelineOutput | tuple:
        """Draw one picture for each class label.

        Args:
            class_labels: Names or indices.
            guidance_scale: The folder's own where it is left out.
            num_inference_steps: The folder's own where it is left out.
            generator: Decides the noise.
            latents: The noise to start from, [B, C, H, W].
            output_type: "pil", or "np" for arrays in [0, 1].
            return_dict: False for a plain tuple.
        """
        label = self.labels(class_labels)
        weight = self.config.guidance_scale if guidance_scale is None else guidance_scale
        steps = num_inference_steps or self.config.num_inference_steps
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        shape = (len(label), self.unet.config.in_channels, height, width)
        x = latents
        if x is None:
            x = randn_tensor(shape, generator, device=self.device, dtype=self.unet.dtype)

        self.scheduler.set_timesteps(steps)
        # DDIM must take the direction to the noise from the estimate that was held inside the
        # pixel range, as the model's own program does.
        takes = inspect.signature(self.scheduler.step).parameters
        more = {"use_clipped_model_output": True} if "use_clipped_model_output" in takes else {}
        times = self.scheduler.timesteps.tolist()
        bar = self.progress_bar(self.scheduler.timesteps)
        for t, then in zip(bar, [*times[1:], -1], strict=True):
            if more:
                self.scheduler.num_inference_steps = self.steps_as_long(int(t) - then)
            said = self.predict(x, t, label, weight)
            x = self.scheduler.step(said, t, x, generator=generator, **more).prev_sample
        images = (x / 2 + 0.5).clamp(0, 1).cpu().permute(0, 2, 3, 1).float().numpy()
        if output_type == "pil":
            images = self.numpy_to_pil(images)
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def steps_as_long(self, length: int) -> Fraction:
        """Return how many steps of a length there would be, from which DDIM computes its length.

        It takes all to be equally long, rounded down; so those that are not would end elsewhere
        than the next begins.
        """
        return Fraction(self.scheduler.config.num_train_timesteps, length)

    def predict(self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor, weight: float):
        """Ask the network, with and without the class."""
        if weight == 1:
            return self.unet(x, t, class_labels=label).sample
        none = torch.full_like(label, self.unet.config.num_class_embeds - 1)
        both = self.unet(torch.cat([x, x]), t, class_labels=torch.cat([label, none])).sample
        with_class, without = both.chunk(2)
        return without + weight * (with_class - without)
