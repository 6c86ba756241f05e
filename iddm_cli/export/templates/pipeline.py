"""Generate images of a class with a class-conditional UNet2DModel.

The pipelines of diffusers call such a network without class labels, so this folder has its own
pipeline. It needs diffusers and torch only:

    from diffusers import DiffusionPipeline
    pipeline = DiffusionPipeline.from_pretrained("FOLDER", trust_remote_code=True)
    pipeline(class_labels=[0, 0, 1]).images[0].save("first.png")
"""

import inspect
import unicodedata
from fractions import Fraction

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from diffusers.utils.torch_utils import randn_tensor


class ClassConditionalPipeline(DiffusionPipeline):
    """Classifier-free guidance (arXiv:2207.12598) over a class-conditional UNet2DModel.

    Args:
        unet: The network; the last row of its class embedding means "no class".
        scheduler: A scheduler of diffusers.
        class_names: Class names by label.
        guidance_scale: Default guidance scale; 1 disables guidance.
        num_inference_steps: Default number of steps.
        guidance_interval: Noise levels with guidance (arXiv:2404.07724), low and high, from 0
            (clean) to 1 (noise); elsewhere the network is evaluated once.
    """

    model_cpu_offload_seq = "unet"

    def __init__(
        self,
        unet,
        scheduler,
        class_names: list[str] | None = None,
        guidance_scale: float = 1.0,
        num_inference_steps: int = 20,
        guidance_interval: tuple[float, float] = (0.0, 1.0),
    ):
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.register_to_config(
            class_names=class_names,
            guidance_scale=guidance_scale,
            num_inference_steps=num_inference_steps,
            guidance_interval=guidance_interval,
        )

    def labels(self, classes: int | str | list[int | str]) -> torch.Tensor:
        """Return the labels of classes, given by name or by index."""
        if isinstance(classes, (int, str)):
            classes = [classes]
        names = [unicodedata.normalize("NFC", name) for name in self.config.class_names or []]
        labels = [
            names.index(unicodedata.normalize("NFC", one)) if isinstance(one, str) else int(one)
            for one in classes
        ]
        if not all(0 <= label < len(names) for label in labels):
            raise ValueError(f"unknown class; the classes are {dict(enumerate(names))}")
        return torch.tensor(labels, device=self.device)

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
        """Generate one image for each class label.

        Args:
            class_labels: Class names or indices.
            guidance_scale: Guidance scale; None: the folder's default.
            num_inference_steps: Number of steps; None: the folder's default.
            generator: Source of the random noise.
            latents: Initial noise, [B, C, H, W]; None: random.
            output_type: "pil", or "np" for arrays in [0, 1].
            return_dict: Whether to return an ImagePipelineOutput rather than a tuple.
        """
        label = self.labels(class_labels)
        scale = self.config.guidance_scale if guidance_scale is None else guidance_scale
        steps = num_inference_steps or self.config.num_inference_steps
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        shape = (len(label), self.unet.config.in_channels, height, width)
        x = latents
        if x is None:
            x = randn_tensor(shape, generator, device=self.device, dtype=self.unet.dtype)

        self.scheduler.set_timesteps(steps)
        # DDIM must compute the noise from the clipped estimate, as iddm does.
        parameters = inspect.signature(self.scheduler.step).parameters
        given = {"use_clipped_model_output": True, "generator": generator}
        options = {name: value for name, value in given.items() if name in parameters}
        times = self.scheduler.timesteps.tolist()
        bar = self.progress_bar(self.scheduler.timesteps)
        for t, next_t in zip(bar, [*times[1:], -1], strict=True):
            if "use_clipped_model_output" in options:
                self.scheduler.num_inference_steps = self.steps_of_length(int(t) - next_t)
            output = self.predict(x, t, label, scale)
            x = self.scheduler.step(output, t, x, **options).prev_sample
        images = (x / 2 + 0.5).clamp(0, 1).cpu().permute(0, 2, 3, 1).float().numpy()
        if output_type == "pil":
            images = self.numpy_to_pil(images)
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def steps_of_length(self, length: int) -> Fraction:
        """Return the number of steps for which DDIM computes this step length.

        DDIM assumes that all steps have the same length, rounded down; other steps would not end
        where the next one begins.
        """
        return Fraction(self.scheduler.config.num_train_timesteps, length)

    def predict(self, x: torch.Tensor, t: torch.Tensor, label: torch.Tensor, scale: float):
        """Evaluate the network, with classifier-free guidance inside the guidance interval."""
        low, high = self.config.guidance_interval
        level = (1 - float(self.scheduler.alphas_cumprod[int(t)])) ** 0.5
        if scale == 1 or not low <= level <= high:
            return self.unet(x, t, class_labels=label).sample
        no_class = torch.full_like(label, self.unet.config.num_class_embeds - 1)
        outputs = self.unet(torch.cat([x, x]), t, class_labels=torch.cat([label, no_class])).sample
        conditional, unconditional = outputs.chunk(2)
        return unconditional + scale * (conditional - unconditional)
