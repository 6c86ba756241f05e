"""Randomness without state: every random tensor is a function of (seed, purpose, counters).

Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") turns a counter
into four random words. The seed and the purpose, a word such as "noise", make the key; the item
(slot in the global batch, or index of an image), the step and the position inside the tensor make
the counter. So nothing has to be saved to resume, items may be computed in any order and
grouping, and a new purpose never shifts another. No other file seeds anything.
"""

import hashlib
import math
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MASK = 0xFFFFFFFF
ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)


Key = tuple[int, int] | tuple[Tensor, Tensor]
"""Two words in [0, 2^32); as tensors, in exports that are given them as an input."""


FEW = 4096
"""For up to so many items NumPy is used: its calls take a quarter of the time of torch's."""

Words = TypeVar("Words", Tensor, NDArray[np.int64])


def philox(counter: tuple[Words, Words, Words, Words], key: Key) -> list[Words]:
    """Encrypt counters into random words.

    Args:
        counter: Four tensors of one shape, int64, values in [0, 2^32); or four arrays of NumPy.
        key: Two words in [0, 2^32), or tensors of them that broadcast to the counter's shape.

    Returns:
        Four tensors of that shape, int64, uniform in [0, 2^32).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        # The product fills 64 bits and may be negative as int64; its bits are still right.
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c2 = _high_word(p1, c1, k0), _high_word(p0, c3, k1)
        p0 &= MASK
        p1 &= MASK
        c1, c3 = p1, p0
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return [c0, c1, c2, c3]


def _high_word(product: Words, word: Words, key: int | Tensor) -> Words:
    """Return the upper 32 bits of products, by exclusive or with a word and with a key."""
    high = product >> 32
    high &= MASK  # in place, here and in `philox`: most of the time goes to writing new memory
    high ^= word
    high ^= key
    return high


def key_of(seed: int, purpose: str) -> tuple[int, int]:
    """Return the key of a purpose: the first 64 bits of the SHA-256 of "seed/purpose"."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def words(key: Key, *, items: Tensor, step: int | Tensor, count: int) -> Tensor:
    """Return random words for each item.

    Args:
        key: See `key_of`.
        items: Slots or image indices, [B], int64, values in [0, 2^32); its device is used.
        step: Training step, or solver step, in [0, 2^32); or one for each item, [B, 1].
        count: Number of words per item.

    Returns:
        [B, count], int64, uniform in [0, 2^32).
    """
    blocks = torch.arange(math.ceil(count / 4), device=items.device)
    zero = torch.zeros_like(items[:, None] * blocks)
    out = philox((zero + blocks, zero + items[:, None], zero + step, zero), key)
    return torch.stack(out, dim=2).flatten(1)[:, :count]


def uniform(seed: int, purpose: str, *, items: Tensor, step: int | Tensor) -> Tensor:
    """Return one number in [0, 1) per item, [B], float32, a multiple of 2^-24."""
    key = key_of(seed, purpose)
    if items.device.type == "cpu" and len(items) <= FEW:
        return _few_uniform(key, items.numpy(), step.numpy() if isinstance(step, Tensor) else step)
    bits = words(key, items=items, step=step, count=1)[:, 0]
    return (bits >> 8).float() * 2.0**-24


def uniforms(seed: int, purpose: str, *, items: Tensor, step: int, count: int) -> Tensor:
    """Return numbers in [0, 1) for each item, multiples of 2^-24, float32 [B, count]."""
    bits = words(key_of(seed, purpose), items=items, step=step, count=count)
    return (bits >> 8).float() * 2.0**-24


def _few_uniform(
    key: tuple[int, int], items: NDArray[np.int64], step: int | NDArray[np.int64]
) -> Tensor:
    """Return what `uniform` does: the first of the words of each item."""
    zero = np.zeros_like(items[:, None])
    bits = philox((zero, zero + items[:, None], zero + step, zero), key)[0][:, 0]
    return torch.from_numpy((bits >> 8).astype(np.float32)).mul_(2.0**-24)


def normal(seed: int, purpose: str, *, items: Tensor, step: int, shape: tuple[int, ...]) -> Tensor:
    """Return standard normal noise for each item, [B, *shape], float32."""
    return normal_of(key_of(seed, purpose), items=items, step=step, shape=shape)


def normal_of(key: Key, *, items: Tensor, step: int | Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return standard normal noise for each item (Box & Muller 1958), [B, *shape], float32."""
    count = math.prod(shape)
    pairs = (count + 1) // 2
    bits = words(key, items=items, step=step, count=2 * pairs)
    # Halfway between multiples of 2^-24, so that the logarithm is never that of zero.
    fraction = ((bits >> 8).float() + 0.5) * 2.0**-24
    radius = (-2 * fraction[:, :pairs].log()).sqrt()
    angle = 2 * math.pi * fraction[:, pairs:]
    both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return both[:, :count].reshape(-1, *shape)


def permutation(seed: int, purpose: str, *, step: int, count: int) -> Tensor:
    """Return a random order of the numbers 0 to count - 1, [count], int64; `step` is the epoch."""
    one = torch.zeros(1, dtype=torch.int64)
    return words(key_of(seed, purpose), items=one, step=step, count=count)[0].argsort(stable=True)


def seed_library(seed: int, purpose: str, *, step: int) -> None:
    """Seed torch's own generators, which initialize weights and sample dropout."""
    k0, k1 = key_of(seed, f"{purpose}/{step}")
    if _has_accelerator():
        torch.manual_seed(k0 << 31 ^ k1)
    else:  # the same, but torch.manual_seed notes the stack as well, for a GPU that may appear
        torch.default_generator.manual_seed(k0 << 31 ^ k1)


@cache
def _has_accelerator() -> bool:
    return torch.accelerator.is_available()
