"""A pytest plugin: which test runs which line of ``skelfreq``, traced by the compiler or not.

``python -m tests.mutation --coverage`` loads it. The lines that Python runs come from coverage's
dynamic contexts. A compiler reads a function without running it, so that coverage cannot see its
lines: those come from Dynamo's own record of where it is.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest
from torch._guards import TracingContext

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "skelfreq"
FOLDER = Path(os.environ.get("SKELFREQ_MUTATION", ROOT / ".mutation"))
LINES, TESTS = FOLDER / "lines.json", FOLDER / "tests.json"


class Recorder:
    """Keeps, for each line, the tests that ran it, and the seconds of each test that passed."""

    def __init__(self) -> None:
        self.current = ""
        self.lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.seconds: dict[str, float] = {}
        self.coverage = coverage.Coverage(
            data_file=None, include=[f"{PACKAGE}/*"], branch=False, config_file=False
        )
        self.coverage.start()
        self._follow_the_compiler()

    def _follow_the_compiler(self) -> None:
        original = TracingContext.set_current_loc

        def set_current_loc(filename: str, lineno: int, frame_name: str) -> None:
            if filename.startswith(str(PACKAGE)) and self.current:
                self.lines[self._name(filename)][lineno].add(self.current)
            original(filename, lineno, frame_name)

        TracingContext.set_current_loc = staticmethod(set_current_loc)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.current = item.nodeid
        self.coverage.switch_context(item.nodeid)
        yield
        self.coverage.switch_context("")
        self.current = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.seconds[report.nodeid] = report.duration

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        data = self.coverage.get_data()
        for filename in data.measured_files():
            for line, contexts in data.contexts_by_lineno(filename).items():
                self.lines[self._name(filename)][line] |= set(contexts) - {""}
        self._write()

    def _write(self) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        if LINES.is_file():
            self._add_earlier()
        number = {test: index for index, test in enumerate(self.seconds)}
        TESTS.write_text(json.dumps(self.seconds, indent=0))
        lines = {
            name: {
                line: sorted(number[test] for test in tests if test in number)
                for line, tests in sorted(found.items())
            }
            for name, found in sorted(self.lines.items())
        }
        LINES.write_text(json.dumps(lines))

    def _add_earlier(self) -> None:
        """Keep what earlier calls recorded of other tests."""
        earlier = json.loads(TESTS.read_text())
        names = list(earlier)
        for name, found in json.loads(LINES.read_text()).items():
            for line, tests in found.items():
                kept = {names[index] for index in tests} - self.seconds.keys()
                self.lines[name][int(line)] |= kept
        self.seconds = {**earlier, **self.seconds}

    @staticmethod
    def _name(filename: str) -> str:
        return Path(filename).relative_to(ROOT).as_posix()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(), "skelfreq-mutation-recorder")
