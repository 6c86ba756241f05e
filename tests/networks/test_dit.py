"""The Diffusion Transformer: diffusers' network with other names, and the sizes of the paper."""

import pytest
import torch
from diffusers import DiTTransformer2DModel
from diffusers.models.embeddings import get_2d_sincos_pos_embed

from iddm_cli.networks.dit import DiT
from iddm_cli.networks.embeddings import encode_positions
from iddm_cli.networks.skeleton import shapes_only

GOLDEN = [-0.074678, 1.442973, -0.519516]
AS_JIT = {"mlp": "swiglu", "norm": "rms", "qk_norm": True, "bottleneck": 5}
NAMES = {
    "attention.query": "attn1.to_q",
    "attention.key": "attn1.to_k",
    "attention.value": "attn1.to_v",
    "attention.out": "attn1.to_out.0",
    "mlp.layer_in": "ff.net.0.proj",
    "mlp.layer_out": "ff.net.2",
    "condition": "norm1.linear",
}
"""Layers of a block, and diffusers' names for them."""


def ours(**changes) -> DiT:
    settings = {
        "channels": 3, "num_classes": 5, "width": 16, "depth": 2, "head_channels": 8,
        "patch_size": 2, "position_span": 4,
    }  # fmt: skip
    torch.manual_seed(0)
    network = DiT(**(settings | changes))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return network.eval()


def inputs(size: tuple[int, int] = (8, 8), channels: int = 3) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    return torch.randn(3, channels, *size), torch.tensor([0, 17, 999]), torch.tensor([0, 2, 5])


def theirs(network: DiT, size: int) -> DiTTransformer2DModel:
    """Diffusers' network with our weights; it knows layer norms, gelu, and square images only."""
    p, width = network.patch_size, network.width
    channels = network.patch_out.out_features // p**2
    model = DiTTransformer2DModel(
        num_attention_heads=network.blocks[0].attention.heads,
        attention_head_dim=width // network.blocks[0].attention.heads,
        in_channels=channels,
        num_layers=len(network.blocks),
        sample_size=size,
        patch_size=p,
        num_embeds_ada_norm=network.embedding.classes.num_embeddings - 1,
        norm_eps=1e-6,
    )
    state = {
        "pos_embed.proj.weight": network.patch_in.weight.view(width, channels, p, p),
        "pos_embed.proj.bias": network.patch_in.bias,
        "proj_out_1.weight": network.condition.weight,
        "proj_out_1.bias": network.condition.bias,
        # Pixels of a patch: here channels come first, there they come last.
        "proj_out_2.weight": network.patch_out.weight.unflatten(0, (channels, p * p))
        .transpose(0, 1).flatten(0, 1),
        "proj_out_2.bias": network.patch_out.bias.view(channels, p * p).T.flatten(),
    }  # fmt: skip
    for i, block in enumerate(network.blocks):
        start = f"transformer_blocks.{i}."
        embedding = f"{start}norm1.emb."  # each block has one of its own
        for index in (1, 2):
            layer = network.embedding.perceptron[2 * index - 2]
            state |= {
                f"{embedding}timestep_embedder.linear_{index}.{kind}": tensor
                for kind, tensor in layer.state_dict().items()
            }
        table = network.embedding.classes.weight
        state[f"{embedding}class_embedder.embedding_table.weight"] = table
        state |= {
            f"{start}{NAMES[layer]}.{kind}": tensor
            for layer in NAMES
            for kind, tensor in block.get_submodule(layer).state_dict().items()
        }
    model.load_state_dict(state)
    return model.eval()


@pytest.mark.parametrize(("size", "patch", "depth"), [(8, 2, 2), (4, 1, 1), (16, 4, 3)])
def test_renamed_it_is_diffusers_network(size, patch, depth):
    network = ours(patch_size=patch, depth=depth)
    network.embedding.shift = 1  # of the frequencies of time: DiT itself has 0
    x, t, label = inputs((size, size))
    with torch.no_grad():
        found = network(x, t, label)
        wanted = theirs(network, size)(x, t, class_labels=label).sample
    assert found.std() > 0.1, "the comparison is about something"
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("width", "depth", "heads", "patch", "million"),
    [(384, 12, 6, 2, 33), (768, 12, 12, 4, 130), (1024, 24, 16, 2, 458), (1152, 28, 16, 2, 675)],
    ids=["S/2", "B/4", "L/2", "XL/2"],
)
def test_it_has_as_many_parameters_as_the_paper_says(width, depth, heads, patch, million):
    with shapes_only():
        network = DiT(
            channels=4, num_classes=1000, width=width, depth=depth,
            head_channels=width // heads, patch_size=patch,
        )  # fmt: skip
    found = sum(p.numel() for p in network.parameters())
    assert found / 1e6 == pytest.approx(million, abs=0.5)


def test_positions_are_those_of_diffusers_and_a_larger_grid_lies_between_them():
    wanted = get_2d_sincos_pos_embed(16, 4, base_size=4)
    found = encode_positions(4, 4, 16, span=4, device=torch.device("cpu"))
    torch.testing.assert_close(found, wanted.float(), atol=1e-6, rtol=1e-6)
    odd = encode_positions(12, 12, 16, span=4, device=torch.device("cpu")).view(12, 12, 16)
    torch.testing.assert_close(odd[1::3, 1::3].flatten(0, 1), found)
    flat = encode_positions(2, 6, 8, span=4, device=torch.device("cpu")).view(2, 6, 8)
    assert (flat[0, :, :4] == flat[1, :, :4]).all(), "the first half is the column's"
    assert (flat[:, :1, 4:] == flat[:, :, 4:]).all(), "the second half is the row's"
    assert len(flat.flatten(0, 1).unique(dim=0)) == 12, "no two patches have one position"


@pytest.mark.parametrize("changes", [{}, AS_JIT], ids=["as DiT", "as JiT"])
@pytest.mark.parametrize("size", [(8, 8), (4, 12), (10, 6)])
def test_it_takes_every_size_that_patches_divide(changes, size):
    network, (x, t, label) = ours(**changes), inputs(size)
    with torch.no_grad():
        found = network(x, t, label)
        alone = torch.cat([network(x[i : i + 1], t[i : i + 1], label[i : i + 1]) for i in range(3)])
    assert found.shape == x.shape
    torch.testing.assert_close(alone, found, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("key", ["mlp", "norm", "qk_norm", "bottleneck"])
def test_each_option_makes_a_difference(key):
    x, t, label = inputs()
    with torch.no_grad():
        changed = ours(**{key: AS_JIT[key]})(x, t, label)
        assert (changed - ours()(x, t, label)).abs().max() > 1e-3


def test_swiglu_has_about_as_many_weights_as_gelu():
    counts = [
        sum(p.numel() for p in ours(width=192, mlp=name).blocks[0].mlp.parameters())
        for name in ("gelu", "swiglu")
    ]
    assert counts[1] == pytest.approx(counts[0], rel=0.01)


@pytest.mark.parametrize("changes", [{}, AS_JIT], ids=["as DiT", "as JiT"])
def test_a_new_network_says_nothing_and_its_blocks_pass_their_input_through(changes):
    network = DiT(
        channels=3, num_classes=5, width=16, depth=2, head_channels=8, patch_size=2, **changes
    )
    assert not network(*inputs()).any()
    h = torch.randn(2, 4, 16)
    assert torch.equal(network.blocks[1](h, torch.randn(2, 16)), h)


@pytest.mark.parametrize("changes", [{}, AS_JIT], ids=["as DiT", "as JiT"])
def test_every_weight_learns(changes):
    network = ours(**changes)
    x, t, label = torch.randn(6, 3, 8, 8), torch.arange(6) * 150, torch.arange(6)
    network(x, t, label).square().mean().backward()
    still = {name for name, p in network.named_parameters() if not p.grad.abs().max() > 1e-9}
    # A softmax does not see what is added to all its scores alike; a norm of keys does.
    assert {name for name in still if changes or not name.endswith("key.bias")} == set()


def test_labels_and_times_matter_and_no_label_is_one_of_them():
    network, x = ours(), torch.randn(1, 3, 8, 8).expand(3, -1, -1, -1)
    by_label = network(x, torch.tensor([5, 5, 5]), torch.tensor([0, 1, 5]))
    assert not torch.allclose(by_label[0], by_label[1])
    assert not torch.allclose(by_label[0], by_label[2])
    by_time = network(x, torch.tensor([5, 6, 900]), torch.tensor([0, 0, 0]))
    assert not torch.allclose(by_time[0], by_time[1])
    without, t = ours(num_classes=0), torch.tensor([5, 5, 5])
    same = without(x, t, torch.tensor([0, 1, 5]))
    assert torch.equal(same[0], same[1])


def test_dropout_acts_in_training_alone():
    for changes in ({}, AS_JIT):
        network, args = ours(dropout=0.5, **changes), inputs()
        assert torch.equal(network(*args), network(*args))
        network.train()
        assert not torch.equal(network(*args), network(*args))


def test_its_parts_for_several_devices_hold_nearly_all_of_it():
    with shapes_only():
        network = DiT(channels=3, num_classes=5, width=384, depth=12, head_channels=64,
                      patch_size=4)  # fmt: skip
    parts = sum(p.numel() for unit in network.units() for p in unit.parameters())
    assert parts > 0.95 * sum(p.numel() for p in network.parameters())


def test_saved_transformers_stay_readable_and_keep_their_function():
    """Golden: names, shapes and outputs as of the version that brought this network."""
    network = ours(**AS_JIT)
    names = [name for name in network.state_dict() if not name.startswith("blocks.1.")]
    assert names == [
        *(f"embedding.perceptron.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")),
        "embedding.classes.weight", "patch_in.0.weight", "patch_in.1.weight", "patch_in.1.bias",
        *(f"blocks.0.{layer}.{kind}"
          for layer in ("condition", "attention.query", "attention.key", "attention.value",
                        "attention.out")
          for kind in ("weight", "bias")),
        "blocks.0.attention.query_norm.weight", "blocks.0.attention.key_norm.weight",
        *(f"blocks.0.mlp.{layer}.{kind}" for layer in ("gate", "layer_in", "layer_out")
          for kind in ("weight", "bias")),
        "condition.weight", "condition.bias", "patch_out.weight", "patch_out.bias",
    ]  # fmt: skip
    for parameter in network.parameters():
        numbers = torch.arange(parameter.numel(), dtype=torch.float64)
        parameter.data = (0.3 * torch.sin(7 * numbers + 1)).float().view(parameter.shape)
    x = torch.sin(torch.arange(3 * 4 * 8.0)).view(1, 3, 4, 8)
    with torch.no_grad():
        found = network(x, torch.tensor([500]), torch.tensor([2]))[0, :, 1, 2]
    torch.testing.assert_close(found, torch.tensor(GOLDEN), atol=1e-5, rtol=1e-5)
