"""Run tests on changed copies of the tree, in processes forked after torch is imported."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.mutation.mutators import Mutant
from tests.mutation.selection import Map, stages

Verdict = Literal["killed", "timeout", "survived", "no tests", "unreliable"]
LEFT_OUT = (".git", ".mutation", ".venv", "__pycache__", ".*_cache", ".hypothesis", "runs")
# A slow test may need a multiple of what it took alone, and an endless loop is stopped.
FACTOR, LEAST = 5.0, 40.0
# What the tests import: once here instead of once for every change.
WARM = (
    "_pytest.config", "build", "einops", "filelock", "hypothesis", "matplotlib.pyplot", "numpy",
    "onnxruntime", "onnxscript", "_hypothesis_pytestplugin", "scipy.fft", "scipy.io", "scipy.stats",
    "sklearn.model_selection", "sympy", "torch_dct", "torch._dynamo.testing",
    "torch._inductor.compile_fx", "torch.distributed.fsdp", "torch.export", "torch.onnx", "yaml",
)  # fmt: skip
PASSED, FAILED = int(pytest.ExitCode.OK), int(pytest.ExitCode.TESTS_FAILED)


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: the verdict, the test that failed, and the seconds it took."""

    key: str
    verdict: Verdict
    test: str
    seconds: float


class FirstFailure:
    """A pytest plugin that writes the name of the first failing test to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.path.write_text(report.nodeid)


def copy_tree(root: Path, target: Path) -> Path:
    """Copy what the tests need, with the times of the files but without their bytecode."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root, target, ignore=shutil.ignore_patterns(*LEFT_OUT))
    return target


def warm_up() -> None:
    """Import what the tests need apart from ``skelfreq`` itself, and keep to one thread."""
    os.environ.update(OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1", CI="1", MPLBACKEND="Agg")
    sys.dont_write_bytecode = True
    for name in WARM:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    loaded = [name for name in sys.modules if name.split(".")[0] == "skelfreq"]
    assert not loaded, f"imported too early: {loaded}"


class Runner:
    """A copy of the tree in which one mutant after the other is tried."""

    def __init__(self, root: Path, folder: Path, map_: Map, index: int) -> None:
        self.root, self.map = root, map_
        self.tree = copy_tree(root, folder / f"tree{index}")
        self.failure = folder / f"failure{index}.txt"
        self.clean: dict[tuple[str, ...], bool] = {}  # tests tried on the tree as it is
        self._compile_tests()

    def _compile_tests(self) -> None:
        """Write the bytecode of the unchanged tree once; later processes read and never write it.

        Python takes the bytecode of a file only while the file's time is the one noted there.
        """
        child = os.fork()
        if child == 0:
            sys.dont_write_bytecode = False
            self._child(["--collect-only", "tests/library"])
        _wait(child, LEAST * FACTOR)

    def try_(self, mutant: Mutant) -> Outcome:
        """Apply a mutant, run its tests until one fails, and take it back.

        A test that fails without the mutant as well says nothing: the others decide.
        """
        begin = time.perf_counter()
        source = (self.root / mutant.path).read_bytes()
        verdict: Verdict = "no tests"
        test, useless = "", set[str]()
        for tests in stages(mutant, source.decode(), self.map, self.root):
            verdict = "unreliable"
            while verdict == "unreliable" and (chosen := [t for t in tests if t not in useless]):
                verdict, test = self._run_changed(mutant, source, chosen)
                if verdict == "killed" and not self._pass_clean([test] if test else chosen):
                    if not test:
                        raise RuntimeError(f"no test can be run on the tree as it is: {chosen}")
                    verdict = "unreliable"
                    useless.add(test)
            if verdict in ("killed", "timeout"):
                break
        return Outcome(mutant.key, verdict, test, time.perf_counter() - begin)

    def _run_changed(
        self, mutant: Mutant, source: bytes, tests: Sequence[str]
    ) -> tuple[Verdict, str]:
        file = self.tree / mutant.path
        times = file.stat()
        try:
            file.write_bytes(mutant.apply(source))
            return self._run(tests)
        finally:
            file.write_bytes(source)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def _pass_clean(self, tests: Sequence[str]) -> bool:
        """Whether tests pass on the unchanged tree."""
        key = tuple(tests)
        if key not in self.clean:
            self.clean[key] = self._run(tests)[0] == "survived"
        return self.clean[key]

    def _run(self, tests: Sequence[str]) -> tuple[Verdict, str]:
        """Run tests in a child process: the verdict, and the first test that failed."""
        limit = LEAST + FACTOR * sum(self.map.seconds.get(test, 1.0) for test in tests)
        self.failure.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            self._child(tests)
        status = _wait(child, limit)
        test = self.failure.read_text() if self.failure.is_file() else ""
        if status is None:
            return "timeout", test
        return ("survived" if status == PASSED else "killed"), test

    def _child(self, tests: Sequence[str]) -> None:
        """Become the process that runs pytest, and end it; a group of its own, for its children."""
        code = FAILED
        try:
            os.setsid()
            os.chdir(self.tree)
            os.environ["PYTHONPATH"] = str(self.tree)
            sys.path.insert(0, str(self.tree))
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            # What this tool itself imported from the original tree must come from the copy.
            for name in [n for n in sys.modules if n.split(".")[0] in ("tests", "benchmarks")]:
                del sys.modules[name]
            options = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
            options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # imported already
            code = int(pytest.main([*options, *tests], plugins=[FirstFailure(self.failure)]))
        finally:
            os._exit(code)


def _wait(child: int, limit: float) -> int | None:
    """Return the exit status, or None where the child had to be ended."""
    end = time.perf_counter() + limit
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # what it may have left behind
            return os.waitstatus_to_exitcode(status)
        if time.perf_counter() > end:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.02)


def record_lines(root: Path, folder: Path, files: Sequence[str]) -> int:
    """Run the library's tests, or some files, with the plugin that records their lines."""
    if not files:
        shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutation.plugin"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CI": "1"}
    chosen = files or ["tests/library"]
    return subprocess.run([*command, *chosen], cwd=root, env=environment).returncode
