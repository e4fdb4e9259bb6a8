"""Muon: the update of `torch.optim.Muon`, orthogonal updates, saved state, weights of equal shapes in one go."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from trainers.optim import Muon, orthogonal

SHAPES = ((8, 24), (24, 8), (12, 12), (8, 24), (8, 24))


def weights(shapes: tuple[tuple[int, int], ...] = SHAPES) -> list[nn.Parameter]:
    torch.manual_seed(3)
    return [nn.Parameter(torch.randn(shape)) for shape in shapes]


def steps(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], numbers: range, first: int = 0) -> None:
    """One step for each number, which decides the gradients together with a weight's place (from `first` on)."""
    for number in numbers:
        for index, weight in enumerate(parameters, first):
            generator = torch.Generator().manual_seed(100 * number + index)
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()


@pytest.mark.parametrize("shape", [(64, 192), (192, 64), (96, 96)])
def test_the_update_is_that_of_torch(shape: tuple[int, int]):
    """Up to bf16, in which torch orthogonalises: one to two per cent of the update's length."""
    ours, theirs = weights((shape,)), weights((shape,))
    start = ours[0].detach().clone()
    options = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
    steps(Muon(ours, **options), ours, range(5))
    steps(torch.optim.Muon(theirs, **options), theirs, range(5))
    error = (ours[0] - theirs[0]).norm() / (theirs[0] - start).norm()
    assert error < 0.03


@pytest.mark.parametrize("shape", [(64, 192), (192, 64), (512, 192), (8, 100), (64, 1)])
def test_singular_values_come_near_one(shape: tuple[int, int]):
    torch.manual_seed(0)
    found = torch.linalg.svdvals(orthogonal(torch.randn(3, *shape)))
    assert found.min() > 0.6
    assert found.max() < 1.3


@pytest.mark.parametrize("size", [32, 192])
def test_of_a_square_matrix_only_tiny_singular_values_stay_small(size: int):
    """Five iterations lift values from 0.13 % of the matrix's norm on; a random square matrix has smaller ones."""
    torch.manual_seed(0)
    matrices = torch.randn(3, size, size)
    before = torch.linalg.svdvals(matrices) / matrices.norm(dim=(1, 2))[:, None]
    found = torch.linalg.svdvals(orthogonal(matrices))
    assert found.max() < 1.3
    assert found[before >= 0.003].min() > 0.6
    assert found.min() < 0.6


def test_saved_state_continues_bit_for_bit():
    whole, parts = weights(), weights()
    steps(Muon(whole), whole, range(6))
    first = Muon(parts)
    steps(first, parts, range(3))
    second = Muon(parts, lr=1.0, momentum=0.0, weight_decay=0.0)  # all of it comes from the saved state
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(second, parts, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_a_batch_of_equal_shapes_equals_one_by_one():
    together, alone = weights(), weights()
    start = [weight.detach().clone() for weight in together]
    steps(Muon(together), together, range(4))
    for index, weight in enumerate(alone):
        steps(Muon([weight]), [weight], range(4), first=index)
    for a, b, before in zip(together, alone, start, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
        assert (a - before).abs().max() > 1e-3


def test_a_weight_without_a_gradient_stays():
    (first, second) = weights(((8, 24), (8, 24)))
    before = second.detach().clone()
    optimizer = Muon([first, second])
    first.grad = torch.ones_like(first)
    optimizer.step()
    assert torch.equal(second, before)
    assert second not in optimizer.state
