"""The benchmark of the loader, at a small size."""

from __future__ import annotations

import torch

from benchmarks.loading import run, write_set
from skelfreq.data import ConvertedSet


def test_it_writes_a_converted_set_and_reads_it(tmp_path):
    size = write_set(tmp_path, 24)
    dataset = ConvertedSet(tmp_path)
    assert len(dataset) == 24 and set(dataset.persons) == {2}
    assert dataset.lengths.min() >= 40 and dataset.lengths.max() <= 300
    assert size == int(dataset.lengths.sum()) * 2 * 25 * 3 * 4
    threads = torch.get_num_threads()
    first, second, memory = run(tmp_path, workers=0, batch=8)
    torch.set_num_threads(threads)
    assert first > 0 and second > 0 and memory > 1e7
