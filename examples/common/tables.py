"""Numbers as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

Table = Mapping[str, Mapping[str, float | Sequence[float]]]


def mean_and_spread(values: Sequence[float], spread: str = "deviation") -> tuple[float, float]:
    """Return mean and standard deviation, or standard error, of shares in per cent."""
    numbers = 100 * torch.tensor(values, dtype=torch.float64)
    deviation = float(numbers.std()) if len(values) > 1 else 0.0
    scale = len(values) ** 0.5 if spread == "error" else 1.0
    return round(float(numbers.mean()), 1), round(deviation / scale, 1)


def markdown(rows: Table) -> str:
    """Return rows as a table: shares in per cent, pairs as "mean ± spread"."""
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, cells in rows.items():
        texts = [_cell(cells[column]) if column in cells else "–" for column in columns]
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def _cell(value: float | Sequence[float]) -> str:
    if isinstance(value, Sequence):
        return f"{value[0]:.1f} ± {value[1]:.1f}"
    return f"{100 * value:.1f}"
