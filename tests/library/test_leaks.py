"""Steps and calls leave no memory behind; thousands of them: ``python -m tests.leaks``."""

from __future__ import annotations

import pytest
from cases import CASES

from benchmarks.memory import left_behind_bytes
from tests.leaks import trainer


@pytest.mark.parametrize("name", CASES)
def test_training_steps_leave_nothing_behind(name: str) -> None:
    step = trainer(CASES[name])
    for _ in range(2):  # fills the caches, makes the moments and the gradients
        step()
    assert left_behind_bytes(lambda: [step() for _ in range(3)]) == 0
