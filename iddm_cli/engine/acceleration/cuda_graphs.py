"""CUDA graphs for sampling: the kernels of one call are recorded, and launched again at once.

Small networks otherwise wait for Python, which starts hundreds of kernels one by one in every
solver step. Numbers do not change: the same kernels compute them.
"""

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.errors import first_line
from iddm_cli.notices import notify_once

WARM_CALLS = 2
"""Calls before the recording, in which libraries allocate what they keep and choose kernels."""

MOST_GRAPHS = 3
"""Each keeps the activations of a call: of batches with and without guidance, or of block sizes."""

Inputs = tuple[Tensor, ...]
Replay = Callable[..., Tensor]
Capture = Callable[[Denoise, Inputs], Replay]
"""`capture(denoise, inputs)` returns a function that computes the same for equal shapes."""


def graph_calls(denoise: nn.Module) -> Denoise:
    """Return a denoiser that replays its calls where it is on a GPU; else itself."""
    parameters = list(denoise.parameters())
    on_gpu = all(p.device.type == "cuda" for p in parameters)
    is_sharded = any(hasattr(p, "to_local") for p in parameters)
    return GraphedDenoiser(denoise) if parameters and on_gpu and not is_sharded else denoise


class GraphedDenoiser:
    """A denoiser whose calls become replays of CUDA graphs, one for each of the first shapes.

    A shape is recorded when it has been called a few times. Weights may change where they are, but
    must not move.

    Args:
        denoise: The denoiser.
        capture: Records a call; None: as a CUDA graph.
    """

    def __init__(self, denoise: Denoise, capture: Capture | None = None) -> None:
        self._denoise = denoise
        self._capture = capture or capture_graph
        self._calls: Counter[torch.Size] = Counter()
        self._graphs: dict[torch.Size, Replay] = {}
        self._most_graphs = MOST_GRAPHS

    def __call__(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Return the estimate of x, [B, C, H, W]."""
        shape = x_t.shape
        self._calls[shape] += 1
        is_due = self._calls[shape] > WARM_CALLS and shape not in self._graphs
        if is_due and len(self._graphs) < self._most_graphs:
            try:
                self._graphs[shape] = self._capture(self._denoise, (x_t, t, label))
            except RuntimeError as error:
                self._most_graphs = 0
                notify_once(f"sampling without CUDA graphs: {first_line(error)}", "cuda graphs")
        return self._graphs.get(shape, self._denoise)(x_t, t, label)


@torch.inference_mode(False)
@torch.no_grad()
def capture_graph(denoise: Denoise, inputs: Inputs) -> Replay:
    """Record a call as a CUDA graph; return a function that replays it with new inputs.

    Tensors made in inference mode could not be overwritten outside of it, so none is.

    Raises:
        RuntimeError: Something in the call cannot be recorded.
    """
    fixed = tuple(tensor.clone() for tensor in inputs)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    cached = torch.is_autocast_cache_enabled()
    # What autocast keeps for the calls outside would be freed after them.
    torch.clear_autocast_cache()
    torch.set_autocast_cache_enabled(False)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.stream(stream):
            denoise(*fixed)  # libraries keep a workspace for each stream
        torch.cuda.current_stream().wait_stream(stream)
        # Other threads, such as those of the server, may use the GPU meanwhile.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            output = denoise(*fixed)
    finally:
        torch.set_autocast_cache_enabled(cached)

    def replay(*new: Tensor) -> Tensor:
        for target, source in zip(fixed, new, strict=True):
            target.copy_(source)
        graph.replay()
        return output.clone()

    return replay
