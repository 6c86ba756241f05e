"""Compiled blocks: when they are, what stays as it was, and what happens where nothing compiles."""

import copy
import os

import pytest
import torch

from iddm_cli import notices
from iddm_cli.data.cache import list_entries
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.engine import train_step
from iddm_cli.engine.acceleration import compiling
from iddm_cli.engine.acceleration.compiling import (
    SHORTEST_COMPILED_RUN,
    CompiledBlocks,
    find_compiler_problem,
    should_compile,
)
from iddm_cli.engine.acceleration.recompute import list_blocks
from iddm_cli.errors import IddmError
from tests.engine.acceleration.test_recompute import build, gradients
from tests.engine.test_trainer import bits, make, run

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Let kernels go to a cache of the test."""
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "so that it is restored")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")


@pytest.fixture
def texts(monkeypatch) -> list[str]:
    """The notices of the test."""
    heard: list[str] = []
    board = notices.NoticeBoard()
    board.listen(heard.append)
    monkeypatch.setattr(compiling, "notify_once", board.notify_once)
    return heard


class PretendedCompiler:
    """Takes the place of torch.compile: counts calls, and fails from one of them on."""

    def __init__(self, monkeypatch, *, fails_at: int | None = None) -> None:
        self.calls, self.fails_at = 0, fails_at
        monkeypatch.setattr(torch, "compile", self._compile)
        monkeypatch.setattr(compiling, "find_compiler_problem", lambda _: None)
        monkeypatch.setattr(train_step, "is_compile_error", lambda e: "backend" in str(e))

    def _compile(self, function, *, dynamic: bool):
        assert dynamic is False

        def call(*inputs):
            self.calls += 1
            if self.fails_at is not None and self.calls > self.fails_at:
                raise RuntimeError("backend raised: no compiler")
            return function(*inputs)

        return call


@pytest.mark.parametrize("capability", [(6, 1), (8, 0)])
@pytest.mark.parametrize("steps", [SHORTEST_COMPILED_RUN - 1, SHORTEST_COMPILED_RUN])
def test_auto_compiles_long_runs_on_gpus_that_can(monkeypatch, steps, capability):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda _: "triton")
    long = steps >= SHORTEST_COMPILED_RUN
    assert should_compile("auto", GPU, steps) == (long and capability >= (7, 0))
    assert not should_compile("auto", CPU, steps)
    for device in (CPU, GPU):
        assert should_compile("blocks", device, 1)
        assert not should_compile("none", device, steps)
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda _: None)
    assert not should_compile("auto", GPU, steps)


def test_all_blocks_are_compiled_and_names_and_numbers_stay(monkeypatch, texts):
    compiler = PretendedCompiler(monkeypatch)
    network, wanted = build("unet"), gradients(build("unet"))
    names = list(network.state_dict())
    blocks = CompiledBlocks(network, CPU)
    assert all(map(torch.equal, gradients(network), wanted))
    assert compiler.calls == len(list_blocks(network))
    assert list(network.state_dict()) == names
    assert torch._dynamo.config.recompile_limit >= 4 * len(list_blocks(network))
    copied = copy.deepcopy(network)
    network.zero_grad()
    assert all(map(torch.equal, gradients(copied), wanted)), "a copy has its own weights"
    assert all(parameter.grad is None for parameter in network.parameters())
    blocks.stop("no compiler")
    assert all(map(torch.equal, gradients(network), wanted))
    assert compiler.calls == len(list_blocks(network)), "neither a copy nor a stopped one compiles"
    assert "could not be compiled (no compiler)" in texts[-1]


def test_without_a_compiler_nothing_is_changed(monkeypatch, texts):
    def fail(*_, **__):
        raise RuntimeError("InvalidCxxCompiler: no g++\nand a trace")

    monkeypatch.setattr(torch, "compile", fail)
    assert find_compiler_problem(CPU) == "InvalidCxxCompiler: no g++"
    network = build("unet")
    assert not CompiledBlocks(network, CPU).active
    assert all("forward" not in vars(block) for block in list_blocks(network))
    assert len(texts) == 1
    assert "InvalidCxxCompiler: no g++" in texts[0]
    assert "runtime.compile=none" in texts[0]


@pytest.mark.parametrize(
    ("changes", "fails_at"), [({"recompute": "blocks"}, 0), ({"micro_batch": 3}, 20)], ids=str
)
def test_an_update_that_cannot_be_compiled_is_made_again(
    tmp_path, monkeypatch, texts, changes, fails_at
):
    plain = make(tmp_path / "a", dropout=0.4, **changes)
    run(plain)
    PretendedCompiler(monkeypatch, fails_at=fails_at)
    trainer = make(tmp_path / "b", dropout=0.4, compiling="blocks", **changes)
    assert trainer.train_step.numerics["compile"] == "blocks"
    trainer.train_step.probe_memory(0) if fails_at == 0 else None
    run(trainer)
    assert trainer.train_step.numerics["compile"] is None
    assert bits(trainer) == bits(plain)
    assert [text.count("could not be compiled") for text in texts] == [0, 1]


def test_several_processes_say_how_to_continue(tmp_path, monkeypatch, texts):
    PretendedCompiler(monkeypatch, fails_at=0)
    trainer = make(tmp_path, compiling="blocks")
    trainer.train_step.group = ProcessGroup(0, 2)
    with pytest.raises(IddmError, match="process 0: backend raised") as refused:
        trainer.train_step.update(0)
    assert refused.value.hint == "Continue with: iddm resume --set runtime.compile=none"


def test_kernels_go_to_the_cache_unless_the_user_chose_a_folder(tmp_path, monkeypatch):
    compiling.use_cache()
    chosen = os.environ["TORCHINDUCTOR_CACHE_DIR"]
    assert chosen == str(tmp_path / "cache" / "compiled" / f"torch-{torch.__version__}")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")
    compiling.use_cache()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "mine"


@pytest.mark.skipif(
    not os.environ.get("IDDM_TEST_AOT"), reason="takes a compiler and minutes: IDDM_TEST_AOT=1"
)
def test_compiled_training_repeats_itself_and_is_the_same_to_rounding(tmp_path):
    once, again, less = (
        make(tmp_path / name, compiling="blocks", recompute=recompute, dropout=0.4)
        for name, recompute in (("a", "none"), ("b", "none"), ("c", "blocks"))
    )
    for trainer in (once, again, less):
        run(trainer)
        assert trainer.train_step.numerics["compile"] == "blocks"
        assert bits(trainer) == bits(once)
    plain, compiled = make(tmp_path / "d"), make(tmp_path / "e", compiling="blocks")
    run(plain), run(compiled)
    for name, wanted in plain.state.denoiser.backbone.state_dict().items():
        found = compiled.state.denoiser.backbone.state_dict()[name]
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
    assert [entry.kind for entry in list_entries()] == ["compiled"]
