"""Start-up: a command imports what it computes with, and not what torch has besides."""

from .conftest import SMOKE

NEVER_NEEDED = {
    "diffusers",
    "sympy",
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "torchvision",
}
"""Each takes from tenths of a second to as long as torch itself; torch imports some of them where
one does not expect it, such as in the constructor of an optimizer."""


def test_training_and_generating_import_no_compiler(shell):
    trained = shell.imported(*SMOKE)
    generated = shell.imported("generate", "--count", "1", "--out", "images")
    assert (shell.folder / "images").is_dir()
    assert "torch" in trained & generated
    assert not NEVER_NEEDED & (trained | generated)
