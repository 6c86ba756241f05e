"""What every step of a training computes with: a digest of each image of its batch, and its noise.

    python benchmarks/batch_digests.py FOLDER train --profile smoke

runs `iddm train` as it is, and every process writes into FOLDER a line for each slot of each step:
the step, the slot, and the SHA-256 of its image, its noise, its diffusion time and its label, after
augmentation and as they go into the loss. Of runs with the same digests, data and noise are equal
bit for bit.
"""

import hashlib
import os
import sys
from collections import defaultdict
from pathlib import Path

Digests = dict[tuple[int, int], set[str]]
"""By step and slot; more than one where a step was computed again, and differed."""


def record_digests(folder: Path) -> None:
    """Let this process record the digests of the batches that it trains on."""
    from torch import Tensor

    from iddm_cli.diffusion.objectives.objective import DenoisingObjective
    from iddm_cli.engine.train_step import TrainStep

    folder.mkdir(parents=True, exist_ok=True)
    # Without a buffer, so that a killed process has written all that it trained on.
    file = (folder / f"{os.uname().nodename}-{os.getpid()}").open("ab", buffering=0)
    slots_of_call: list[Tensor] = []
    train_losses, objective_losses = TrainStep.losses, DenoisingObjective.losses

    def losses_of_step(self, step, slots, denoiser=None):
        slots_of_call[:] = [slots]
        return train_losses(self, step, slots, denoiser)

    def losses_of_objective(self, denoiser, x, t, noise, label, *, target, step):
        if slots_of_call:  # else these are other losses, such as that of held-out images
            rows = zip(slots_of_call.pop().tolist(), x, t, noise, label, strict=True)
            lines = [f"{step} {slot} {digest_row(*row)}\n" for slot, *row in rows]
            file.write("".join(lines).encode())
        return objective_losses(self, denoiser, x, t, noise, label, target=target, step=step)

    TrainStep.losses = losses_of_step
    DenoisingObjective.losses = losses_of_objective


def digest_row(*parts) -> str:
    """Return the digest of an image, and of what belongs to it."""
    content = b"".join(part.detach().cpu().contiguous().numpy().tobytes() for part in parts)
    return hashlib.sha256(content).hexdigest()


def read_digests(folder: Path) -> Digests:
    """Return what the processes of a training have recorded."""
    found: Digests = defaultdict(set)
    for path in folder.iterdir():
        for line in path.read_bytes().split(b"\n")[:-1]:
            step, slot, digest = line.decode().split()
            found[int(step), int(slot)].add(digest)
    return found


def main() -> None:
    """Run a command of iddm."""
    from iddm_cli.main import main as run_iddm

    folder = Path(sys.argv[1])
    sys.argv = ["iddm", *sys.argv[2:]]
    record_digests(folder)
    run_iddm()


if __name__ == "__main__":
    main()
