"""IDDM's own network: its names and shapes, and a literal restatement of what it computes."""

import pytest
import torch
from torch.nn import functional as f

from iddm_cli.networks import IddmUNet
from iddm_cli.networks.blocks import ACTIVATIONS
from tests.importing.upstream import KEYS

ACTS = {
    "silu": f.silu,
    "gelu": f.gelu,
    "relu": f.relu,
    "relu6": f.relu6,
    "lrelu": lambda x: f.leaky_relu(x, 0.1),
}


def network(*, channels=3, num_classes=10, activation="gelu") -> IddmUNet:
    """Return one whose biases and scales say something as well."""
    torch.manual_seed(0)
    made = IddmUNet(channels=channels, num_classes=num_classes, activation=activation)
    for parameter in made.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return made.eval().requires_grad_(False)


class ByHand:
    """The published description, line by line, over the tensors' names."""

    def __init__(self, state: dict[str, torch.Tensor], act: str) -> None:
        self.state = state
        self.act = ACTS[act]
        # There, the activation after a sum has another slope.
        self.after = f.leaky_relu if act == "lrelu" else self.act

    def linear(self, name, h):
        return h @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def layer_norm(self, name, h):
        mean, var = h.mean(-1, keepdim=True), h.var(-1, keepdim=True, unbiased=False)
        scaled = (h - mean) / (var + 1e-5).sqrt()
        return scaled * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def group_norm(self, name, h):
        mean = h.mean((1, 2, 3), keepdim=True)
        var = h.var((1, 2, 3), keepdim=True, unbiased=False)
        weight, bias = (self.state[f"{name}.{w}"][:, None, None] for w in ("weight", "bias"))
        return (h - mean) / (var + 1e-5).sqrt() * weight + bias

    def double(self, name, h):
        name = f"{name}.double_conv"
        h = f.conv2d(h, self.state[f"{name}.0.weight"], padding=1)
        h = self.act(self.group_norm(f"{name}.1", h))
        return self.group_norm(f"{name}.4", f.conv2d(h, self.state[f"{name}.3.weight"], padding=1))

    def residual(self, name, h):
        return self.after(h + self.double(name, h))

    def embedded(self, name, emb):
        return self.linear(f"{name}.emb_layer.1", f.silu(emb))[:, :, None, None]

    def down(self, name, h, emb):
        h = self.residual(f"{name}.maxpool_conv.1", f.max_pool2d(h, 2))
        return self.double(f"{name}.maxpool_conv.2", h) + self.embedded(name, emb)

    def up(self, name, h, skip, emb):
        h = f.interpolate(h, scale_factor=2, mode="bilinear", align_corners=True)
        h = self.residual(f"{name}.conv.0", torch.cat([skip, h], 1))
        return self.double(f"{name}.conv.1", h) + self.embedded(name, emb)

    def attention(self, name, h):
        b, c, height, width = h.shape
        tokens = h.reshape(b, c, height * width).swapaxes(1, 2)
        x = self.layer_norm(f"{name}.ln", tokens)
        attended, _ = f.multi_head_attention_forward(
            *[x.swapaxes(0, 1)] * 3, c, 4,
            self.state[f"{name}.mha.in_proj_weight"], self.state[f"{name}.mha.in_proj_bias"],
            None, None, False, 0.0,
            self.state[f"{name}.mha.out_proj.weight"], self.state[f"{name}.mha.out_proj.bias"],
        )  # fmt: skip
        tokens = tokens + attended.swapaxes(0, 1)
        x = self.layer_norm(f"{name}.ff_self.0", tokens)
        tokens = tokens + self.linear(
            f"{name}.ff_self.3", self.act(self.linear(f"{name}.ff_self.1", x))
        )
        return tokens.swapaxes(1, 2).reshape(h.shape)

    def __call__(self, x, t, label):
        freq = 10000 ** (-2 * torch.arange(128) / 256)
        angle = t[:, None].float() * freq
        emb = torch.cat([angle.sin(), angle.cos()], 1)
        table = self.state.get("condition_adapter.label_emb.weight")
        if table is not None:
            for i, one in enumerate(label.tolist()):
                emb[i] += table[one] if one < len(table) else 0
        x1 = self.double("inc", x)
        x2 = self.attention("sa1", self.down("down1", x1, emb))
        x3 = self.attention("sa2", self.down("down2", x2, emb))
        x4 = self.attention("sa3", self.down("down3", x3, emb))
        for name in ("bot1", "bot2", "bot3"):
            x4 = self.double(name, x4)
        h = self.attention("sa4", self.up("up1", x4, x3, emb))
        h = self.attention("sa5", self.up("up2", h, x2, emb))
        h = self.attention("sa6", self.up("up3", h, x1, emb))
        return f.conv2d(h, self.state["outc.weight"], self.state["outc.bias"])


def test_its_tensors_are_those_of_the_published_files():
    found = {name: tuple(tensor.shape) for name, tensor in network().state_dict().items()}
    assert found == KEYS


@pytest.mark.parametrize("classes", [0, 1, 10])
def test_it_has_as_many_numbers_as_theirs(classes):
    made = network(num_classes=classes)
    assert sum(p.numel() for p in made.parameters()) == 23_332_739 + 256 * classes


@pytest.mark.parametrize(
    ("activation", "channels", "classes"),
    [("gelu", 3, 10), ("lrelu", 1, 2), ("silu", 3, 0), ("relu", 3, 1), ("relu6", 1, 0)],
)
def test_it_computes_what_the_description_says(activation, channels, classes):
    made = network(channels=channels, num_classes=classes, activation=activation)
    x, t = torch.randn(3, channels, 8, 16), torch.tensor([0, 17, 999])
    label = torch.tensor([0, classes // 2, classes])
    wanted = ByHand(made.state_dict(), activation)(x, t, label)
    assert wanted.std() > 0.1, "the comparison is about something"
    torch.testing.assert_close(made(x, t, label), wanted, atol=1e-4, rtol=1e-4)


def test_labels_matter_and_no_label_adds_nothing():
    made, plain = network(num_classes=2), network(num_classes=0)
    state = made.state_dict()
    state.pop("condition_adapter.label_emb.weight")
    plain.load_state_dict(state)
    x, t = torch.randn(1, 3, 8, 8).expand(3, -1, -1, -1), torch.tensor([5, 5, 5])
    said = made(x, t, torch.tensor([0, 1, 2]))
    assert not torch.allclose(said[0], said[1])
    alone = plain(x[2:], t[2:], torch.tensor([0]))
    torch.testing.assert_close(said[2:], alone, atol=1e-5, rtol=1e-5)


def test_every_weight_learns():
    made = network(num_classes=2).requires_grad_(True)
    x, t = torch.randn(3, 3, 8, 8), torch.arange(3) * 300
    made(x, t, torch.arange(3)).square().mean().backward()
    still = {name for name, p in made.named_parameters() if not p.grad.abs().max() > 0}
    assert still == set()


def test_its_parts_for_several_devices_hold_nearly_all_of_it():
    made = network()
    parts = {id(p) for unit in made.units() for p in unit.parameters()}
    outside = {name for name, p in made.named_parameters() if id(p) not in parts}
    assert {name.split(".")[-2] for name in outside} <= {"1", "label_emb", "outc"}
    assert not any(isinstance(unit, IddmUNet) for unit in made.units())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_in_every_place(activation):
    kind = type(ACTIVATIONS[activation]())
    found = [module for module in network(activation=activation).modules() if type(module) is kind]
    # Double convolutions: four outside the six levels, two in each. The levels' conditions have a
    # silu of their own.
    convolutions, sums, perceptrons = 4 + 2 * 6, 6, 6
    conditions = 6 if activation == "silu" else 0
    assert len(found) == convolutions + sums + perceptrons + conditions
