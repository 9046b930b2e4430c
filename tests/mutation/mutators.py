"""The changes: one expression or statement of a file at a time, found in its syntax tree.

Left out, since no test can or should tell the difference: annotations, decorators, docstrings and
messages; the parts of integers of ``LARGE`` or more (limits of sizes and of counts: where they lie
exactly is a choice); and, in functions that get a random generator named ``rng``, which make
faulty files for the fuzzing, the numbers and the comparisons of a draw (how much is drawn).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

BINARY = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*",
    ast.Pow: "*", ast.BitAnd: "|", ast.BitOr: "&",
}  # fmt: skip
COMPARISON = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
LARGE = 1000


@dataclass(frozen=True)
class Mutant:
    """One change: ``old`` at bytes ``start`` to ``end`` of ``path`` becomes ``new``.

    ``lines`` are those of the statement around it, ``scope`` the function or class.
    """

    path: str
    scope: str
    kind: str
    start: int
    end: int
    old: str
    new: str
    lines: tuple[int, ...]
    occurrence: int = 0

    @property
    def key(self) -> str:
        """A name that stays the same while other functions change."""
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        name = f"{self.path}::{self.scope}::{self.kind}: {old} → {new}"
        return name + (f" #{self.occurrence}" if self.occurrence else "")

    def apply(self, source: bytes) -> bytes:
        """Return the changed file."""
        return source[: self.start] + self.new.encode() + source[self.end :]


def mutants(root: Path, package: str = "skelfreq") -> list[Mutant]:
    """Return every change of every file, in the order of path and place."""
    found = []
    for path in sorted((root / package).rglob("*.py")):
        name = path.relative_to(root).as_posix()
        found += mutants_of(path.read_text(), name)
    return found


def mutants_of(source: str, path: str) -> list[Mutant]:
    """Return every change of one file that is still valid Python."""
    finder = _Finder(source, path)
    finder.visit(ast.parse(source))
    found: list[Mutant] = []
    counts: dict[str, int] = {}
    for mutant in sorted(finder.found, key=lambda m: (m.start, m.end, m.kind, m.new)):
        occurrence = counts.get(mutant.key, 0)
        counts[mutant.key] = occurrence + 1
        found.append(Mutant(**{**vars(mutant), "occurrence": occurrence}))
    return found


class _Finder(ast.NodeVisitor):
    """Walks through a file, apart from what is left out."""

    def __init__(self, source: str, path: str) -> None:
        self.source, self.path = source.encode(), path
        starts = [0]
        for line in self.source.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        self.starts = starts
        self.scope: list[str] = []
        self.draws = False  # whether the function at hand draws from ``rng``
        self.statement: ast.stmt | None = None
        self.found: list[Mutant] = []

    # Where changes are made

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if self.draws and not isinstance(value, bool):
            return
        if isinstance(value, bool):
            self._add("constant", node, str(not value))
        elif isinstance(value, int) and value < LARGE:
            self._add("constant", node, str(value + 1 if value % 2 == 0 else value - 1))
        elif isinstance(value, float):
            self._add("constant", node, repr(2 * value if value else 1.0))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
            self._add("sign", node, f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if _is_large(node):
            return
        if type(node.op) in BINARY and not _is_text(node):
            self._operator("arithmetic", node, node.left, BINARY[type(node.op)], node.right)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in BINARY and not _is_text(node.value):
            text = f"{self._text(node.target)} {BINARY[type(node.op)]}= {self._text(node.value)}"
            self._add("arithmetic", node, text)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if self.draws and "rng." in self._text(node):
            return
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            self._operator("comparison", node, left, COMPARISON[type(operator)], right)
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        word = "or" if isinstance(node.op, ast.And) else "and"
        self._add("boolean", node, f" {word} ".join(f"({self._text(v)})" for v in node.values))
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if not _is_type_checking(node.test):
            self._add("branch", node.test, "False")
            if node.orelse:
                self._add("branch", node.test, "True")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._add("branch", node, f"({self._text(node.body)})")
        self._add("branch", node, f"({self._text(node.orelse)})")
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._add("branch", test, "True")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        if isinstance(node.value, ast.Call):
            self._add("call", node, "pass")
        self.generic_visit(node)

    # What is walked through, and what is left out

    def visit(self, node: ast.AST) -> None:
        if not isinstance(node, ast.stmt):
            super().visit(node)
            return
        outer, self.statement = self.statement, node
        super().visit(node)
        self.statement = outer

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.scope.append(node.name)
        outer = self.draws
        self.draws |= any(argument.arg == "rng" for argument in node.args.args)
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self.draws = outer
        self.scope.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.scope.append(node.name)
        for part in [*node.keywords, *node.body]:
            self.visit(part)
        self.scope.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        """Leave messages alone."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave text alone."""

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.value, ast.Name) and node.value.id == "Literal":
            return
        self.generic_visit(node)

    # Writing a change down

    def _operator(
        self, kind: str, node: ast.expr, left: ast.expr, word: str, right: ast.expr
    ) -> None:
        """Change what stands between two operands, and nothing else."""
        start, end = self._end(left), self._start(right)
        between = self.source[start:end].decode()
        open_, close = between.count("("), between.count(")")
        self._add_at(kind, node, start, end, f"{')' * close} {word} {'(' * open_}")

    def _add(self, kind: str, node: ast.AST, new: str) -> None:
        self._add_at(kind, node, self._start(node), self._end(node), new)

    def _add_at(self, kind: str, node: ast.AST, start: int, end: int, new: str) -> None:
        assert self.statement is not None
        last = self.statement.end_lineno
        if isinstance(self.statement, (ast.If, ast.While, ast.For, ast.With, ast.Try)):
            last = self.statement.body[0].lineno - 1  # only the head of a block
        elif isinstance(self.statement, (ast.FunctionDef, ast.ClassDef)):
            last = self.statement.lineno  # a default value: made when the module is imported
        assert last is not None
        self.found.append(
            Mutant(
                path=self.path,
                scope=".".join(self.scope),
                kind=kind,
                start=start,
                end=end,
                old=self.source[start:end].decode(),
                new=new,
                lines=tuple(range(self.statement.lineno, max(last, self.statement.lineno) + 1)),
            )
        )

    def _start(self, node: ast.AST) -> int:
        return self.starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]

    def _end(self, node: ast.AST) -> int:
        return self.starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def _text(self, node: ast.AST) -> str:
        return self.source[self._start(node) : self._end(node)].decode()


def _is_text(node: ast.expr) -> bool:
    """Whether an expression adds or formats strings."""
    return any(
        isinstance(part, ast.JoinedStr)
        or (isinstance(part, ast.Constant) and isinstance(part.value, (str, bytes)))
        for part in ast.walk(node)
    )


def _is_large(node: ast.expr) -> bool:
    """Whether an expression is made of integers alone and gives a large one, as ``1 << 20``."""
    parts = (ast.BinOp, ast.operator, ast.Constant)
    if not all(isinstance(part, parts) for part in ast.walk(node)) or _is_text(node):
        return False
    value = eval(compile(ast.Expression(node), "", "eval"), {})
    return isinstance(value, int) and value >= LARGE


def _is_type_checking(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "TYPE_CHECKING"
