"""The rule against decisions by text: code must ask for a kind or a state, not for the words of a sentence.

A sentence is meant for people. When somebody improves it, code that looks for its words decides differently.
An expression counts as a sentence if its name says so (`row.reason`, `failure["message"]`, `said`), if it is
`str()` of an exception, or if it is a local name to which one of these was assigned.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.tools.house_rules.tree import PACKAGES, Finding, Source, python

# Last words of names that hold sentences: row.reason, last_message, failure["detail"].
SENTENCES = frozenset({"reason", "reasons", "message", "msg", "detail", "details", "said", "told", "trouble", "why"})
# `text` counts only as an attribute or a key: `response.text` is a sentence, but a variable `text` is often input for a
# parser.
# A variable with a longer name counts too: `ray_text`.
_ATTRIBUTES = SENTENCES | {"text"}
_ERRORS = frozenset({"error", "exception", "exc", "err", "failure"})
_TESTS = frozenset({"startswith", "endswith", "find", "rfind", "index", "count", "casefold", "__contains__"})
_SEARCHES = frozenset({"search", "match", "fullmatch", "findall", "finditer"})
# Methods whose result still counts as a sentence.
_SHAPING = frozenset({"lower", "upper", "casefold", "strip", "lstrip", "rstrip", "replace", "removeprefix", "format"})
_THIS_FILE = "tests/tools/house_rules/decisions.py"
_CURE = "store or raise a kind (an enum, a class, a number), and ask for that"

# Functions that may decide by text, because they get nothing else. An unused line of this list is a finding too.
ALLOWED = {
    "service.control.jobs._has_no_such_job": "Ray answers 404 for other things too",
    "service.runner.diagnosis._message": "leaves out a cause that the message names already",
    "service.runner.diagnosis.diagnose_lost": "Ray raises one exception for a process, a node or memory that is lost",
    "service.runner.diagnosis._loss_in_words": "makes words for people out of Ray's words; it decides no type",
    "tet_core.errors.is_of_machine": "CUDA's libraries and Python raise a RuntimeError for a broken machine",
    "tet_core.errors.is_out_of_memory": "torch, C++ and CUDA raise a RuntimeError for a lack of memory",
}


def decisions_by_text(files: list[Source], allowed: dict[str, str] | None = None) -> Iterator[Finding]:
    """Find the code of the two packages that decides by the words of a sentence.

    Args:
        files: All files of the checkout.
        allowed: The functions that may decide by text: their dotted names, and the reasons. None means `ALLOWED`.
    """
    allowed = ALLOWED if allowed is None else allowed
    used = set()
    for file in python(files, *PACKAGES):
        for scope in _scopes(file):
            for line, what in scope.decisions():
                used.add(scope.name)
                if scope.name not in allowed:
                    yield file.finding(line, f"{what} decides by text ({scope.name})", _CURE)
    for file in files:
        for name in sorted(allowed.keys() - used) if file.path == _THIS_FILE else ():
            line = file.text[: file.text.find(name)].count("\n") + 1
            yield file.finding(line, f"{name} no longer decides by text", "take it off the list")


@dataclass
class _Scope:
    """A function, or a module without its functions.

    Attributes:
        name: Its dotted name.
        nodes: Its nodes of the syntax tree, in the order of the file.
        sentences: Local names that hold sentences, although their names do not say so.
        errors: Local names of exceptions.
    """

    name: str
    nodes: list[ast.AST]
    sentences: set[str] = field(default_factory=set)
    errors: set[str] = field(default_factory=set)

    def decisions(self) -> Iterator[tuple[int, str]]:
        """Yield the line number and the code of every decision by the words of a sentence."""
        for node in self.nodes:
            self._learn(node)
            if isinstance(node, ast.expr | ast.Match) and self._decides(node):
                shown = node.subject if isinstance(node, ast.Match) else node
                yield node.lineno, f"`{ast.unparse(shown)}`"

    def _learn(self, node: ast.AST) -> None:
        """Remember a name to which a sentence or an exception is assigned."""
        match node:
            case ast.ExceptHandler(name=str(name)):
                self.errors.add(name)
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                if ast.unparse(annotation).partition(" | ")[0].endswith(("Error", "Exception")):
                    self.errors.add(name)
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                | ast.NamedExpr(target=ast.Name(id=name), value=value)
            ) if self._is_sentence(value):
                self.sentences.add(name)

    def _decides(self, node: ast.expr | ast.Match) -> bool:
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in _TESTS - _SHAPING:
                return self._is_sentence(value)
            case ast.Call(func=ast.Attribute(attr=attr), args=arguments) if attr in _SEARCHES:
                return any(map(self._is_sentence, arguments))
            case ast.Compare(left=left, ops=operators, comparators=rights):
                sides = [left, *rights]
                return any(map(self._compares, operators, sides, rights))
            case ast.Match(subject=subject, cases=cases):
                return self._is_sentence(subject) and any(_holds_text(case.pattern) for case in cases)
        return False

    def _compares(self, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> bool:
        """Return whether a comparison asks for words: `"x" in reason`, `reason == "x"`, `reason in ("x", "y")`."""
        match operator:
            case ast.In() | ast.NotIn():
                return self._is_sentence(right) or (self._is_sentence(left) and _is_fixed(right))
            case ast.Eq() | ast.NotEq():
                return any(self._is_sentence(a) and _is_fixed(b) for a, b in ((left, right), (right, left)))
        return False

    def _is_sentence(self, node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name):
                return name in self.sentences or _last_word(name) in SENTENCES or name.endswith("_text")
            case ast.Attribute(attr=attr):
                return _last_word(attr) in _ATTRIBUTES
            case ast.Subscript(slice=ast.Constant(value=str(key))):
                return _last_word(key) in _ATTRIBUTES
            case ast.Subscript(value=ast.Attribute(attr="args")):  # error.args[0]
                return True
            case ast.Subscript(value=value, slice=ast.Slice()):
                return self._is_sentence(value)
            case ast.Call(func=ast.Name(id="str" | "repr"), args=[value]):
                return self._is_error(value) or self._is_sentence(value)
            case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(key)), *_]):
                return _last_word(key) in _ATTRIBUTES
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in _SHAPING:
                return self._is_sentence(value)
            case ast.BinOp(left=left, right=right):
                return self._is_sentence(left) or self._is_sentence(right)
            case ast.BoolOp(values=values):
                return any(map(self._is_sentence, values))
            case ast.NamedExpr(value=value):
                return self._is_sentence(value)
        return False

    def _is_error(self, node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name in self.errors or _last_word(name) in _ERRORS
        return False


def _scopes(file: Source) -> list[_Scope]:
    scopes = [_Scope(file.module, [])]

    def visit(node: ast.AST, scope: _Scope, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner, inner_name = scope, name
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner_name = f"{name}.{child.name}"
                if not isinstance(child, ast.ClassDef):
                    # A function within a function sees the names of the outer one.
                    inner = _Scope(inner_name, [], scope.sentences.copy(), scope.errors.copy())
                    scopes.append(inner)
            inner.nodes.append(child)
            visit(child, inner, inner_name)

    visit(file.tree, scopes[0], file.module)
    return scopes


def _last_word(name: str) -> str:
    return name.lower().strip("_").rpartition("_")[2]


def _is_fixed(node: ast.expr) -> bool:
    """Return whether an expression is fixed text.

    That is a text that is not empty, a name in capital letters, or a collection that holds one of these.
    """
    match node:
        case ast.Constant(value=value):
            return isinstance(value, str) and value != ""
        case ast.JoinedStr():
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.isupper() or name == "phrase"  # HTTPStatus.NOT_FOUND.phrase
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return any(map(_is_fixed, elements))
    return False


def _holds_text(pattern: ast.pattern) -> bool:
    return any(isinstance(node, ast.Constant) and isinstance(node.value, str) for node in ast.walk(pattern))
