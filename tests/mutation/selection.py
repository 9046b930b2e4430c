"""Which tests can notice a change: those that run its lines, the cheapest first."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutators import Mutant

# Seconds of tests in each stage. A mutant that survives a stage goes on to the next.
STAGES = (3.0, 70.0, 60.0)
OVERHEAD = 0.004  # of a test that does nothing


@dataclass(frozen=True)
class Map:
    """The tests with their seconds, and the tests of each line of each file."""

    seconds: dict[str, float]
    lines: dict[str, dict[int, list[str]]]

    @classmethod
    def read(cls, folder: Path) -> Map:
        """Read what the plugin wrote."""
        seconds = json.loads((folder / "tests.json").read_text())
        names = list(seconds)
        stored = json.loads((folder / "lines.json").read_text())
        lines = {
            path: {int(line): [names[index] for index in found] for line, found in rows.items()}
            for path, rows in stored.items()
        }
        return cls(seconds, lines)

    def of_lines(self, path: str, lines: Iterable[int]) -> set[str]:
        """Return the tests that run any of the lines."""
        rows = self.lines.get(path, {})
        return {test for line in lines for test in rows.get(line, ())}

    def of_file(self, path: str) -> set[str]:
        """Return the tests that run any line of a file."""
        return self.of_lines(path, self.lines.get(path, ()))


def stages(mutant: Mutant, source: str, map_: Map, root: Path) -> list[list[str]]:
    """Return lists of tests, to be run one after the other until one fails."""
    near = map_.of_lines(mutant.path, mutant.lines)
    if not near:
        near = _of_scope(mutant, source, map_) or _of_users(mutant, source, map_, root)
    first, rest = _take(_one_of_each(_in_order(near, map_)), STAGES[0], map_)
    second, rest = _take(_one_of_each(_in_order(rest, map_)), STAGES[1], map_)
    others = [test for test in map_.of_file(mutant.path) if test not in near]
    third, _ = _take([*rest, *_one_of_each(_in_order(others, map_))], STAGES[2], map_)
    return [stage for stage in (first, second, third) if stage]


def _of_scope(mutant: Mutant, source: str, map_: Map) -> set[str]:
    """Return the tests of the function around a line that runs at import, such as a default."""
    node: ast.AST = ast.parse(source)
    for name in filter(None, mutant.scope.split(".")):
        node = next(
            child
            for child in ast.walk(node)
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)) and child.name == name
        )
    if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return set()
    return map_.of_lines(mutant.path, range(node.lineno, (node.end_lineno or node.lineno) + 1))


def _of_users(mutant: Mutant, source: str, map_: Map, root: Path) -> set[str]:
    """Return the tests of every function that reads a name of the module."""
    names = {
        target.id
        for statement in ast.parse(source).body
        if mutant.lines[0] in range(statement.lineno, (statement.end_lineno or 0) + 1)
        for target in ast.walk(statement)
        if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
    }
    found: set[str] = set()
    for path in map_.lines:
        file = root / path
        if not file.is_file():
            continue
        tree = ast.parse(file.read_text())
        lines = [
            node.lineno
            for node in ast.walk(tree)
            if (isinstance(node, ast.Name) and node.id in names)
            or (isinstance(node, ast.Attribute) and node.attr in names)
        ]
        found |= map_.of_lines(path, lines)
    return found or map_.of_file(mutant.path)


def _in_order(tests: Iterable[str], map_: Map) -> list[str]:
    """Sort by cost; what belongs to the library comes before the examples."""
    return sorted(tests, key=lambda test: ("/library/" not in test, map_.seconds[test], test))


def _one_of_each(tests: list[str]) -> list[str]:
    """Put one case of each test function in front, the other cases after all of them."""
    first, later, seen = [], [], set()
    for test in tests:
        name = test.split("[", 1)[0]
        (later if name in seen else first).append(test)
        seen.add(name)
    return first + later


def _take(tests: list[str], seconds: float, map_: Map) -> tuple[list[str], list[str]]:
    """Split off the first tests that fit the time, at least one."""
    total = 0.0
    for index, test in enumerate(tests):
        total += map_.seconds[test] + OVERHEAD
        if total > seconds and index:
            return tests[:index], tests[index:]
    return tests, []
