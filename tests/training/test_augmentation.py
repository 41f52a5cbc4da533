"""Augmentation: what softening does to a film."""

import pytest

from verification import verifies

pytest.importorskip("torch", reason="torch is not installed")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from cxr_device.training.augmentation import Augmentation

LEVELS = 65535.0


@verifies("SRS-351@32adae79", level="unit")
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), softest=st.integers(8, 39))
def test_a_softened_film_is_one_reduced_and_enlarged_again(seed: int, softest: int) -> None:
    films = torch.rand(3, 1, 40, 40, generator=torch.Generator().manual_seed(seed)) * LEVELS
    generator = torch.Generator().manual_seed(seed)
    found = Augmentation(softness=1.0, softest=softest)._soften(films, generator)  # noqa: SLF001
    generator.manual_seed(seed)
    torch.rand(3, generator=generator)
    for film, soft, side in zip(
        films, found, torch.randint(softest, 40, (3,), generator=generator).tolist(), strict=True
    ):
        small = functional.interpolate(
            film[None], size=(side, side), mode="bilinear", antialias=True
        )
        large = functional.interpolate(small, size=(40, 40), mode="bilinear")[0]
        assert float((soft - large).abs().max()) <= 1e-5 * LEVELS


@verifies("SRS-351@32adae79", level="unit")
def test_the_share_that_is_not_chosen_keeps_every_level() -> None:
    films = torch.rand(64, 1, 16, 16) * LEVELS
    generator = torch.Generator().manual_seed(4)
    soften = Augmentation(softness=0.25, softest=8)._soften  # noqa: SLF001
    changed = (soften(films, generator) != films).flatten(1).any(dim=1)
    assert 8 <= int(changed.sum()) <= 24
    none = Augmentation(softness=0.0, softest=8)._soften(films, generator)  # noqa: SLF001
    assert torch.equal(none, films)
    small = Augmentation(softness=1.0, softest=16)._soften(films, generator)  # noqa: SLF001
    assert torch.equal(small, films)
