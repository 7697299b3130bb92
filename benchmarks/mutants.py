"""Mutants: one-line changes of meaning in the core numerics, drawn by a seed.

What is changed and what is left out is written here in full: KINDS, LEFT_OUT, SPEED_ONLY.
"""

from __future__ import annotations

import ast
import copy
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CORE", "KINDS", "LEFT_OUT", "SPEED_ONLY", "Mutant", "core_files", "draw", "mutants_of", "mutated_tree"]

CORE = {
    "occlusion": "geometry fills dense mean_map faithfulness attribution_maps gradients rectifiers",
    "occlusion/incremental": "engine exact fast instructions plan windows",
    "subject/captured": "aten capture graph onednn operators receptive_field translation",
    "optimization": "loop scores transforms canvas parameterization regularizers frozen objective latent_parameterization "
    "reference_activations",
    "exemplars": "activation_summary top_k roc_area som nearest_neighbours layouts grid_assignment shard find map",
    "results": "decision_rule estimate object_evidence curves audit_conclusions mean_map",
    "auditing": "illumination image_quality overlays object_properties interventions segmentation sample",
    "priors": "gaussian principal_components decoder refiner plausibility",
    "subject": "activation_layout batch_norm response probe",
    "subject/network": "preprocessing",
}
"""The modules whose lines are mutated: folder to names."""

KINDS = {
    "arithmetic": "+ for -, * for /, // for /, ** for *, & for |, << for >>, also in x += y",
    "dropped term": "x + y, x - y, x * y or x / y without x or without y",
    "comparison": "< for <=, < for >=, == for !=, is for is not, in for not in",
    "boolean": "and for or, one operand of either, not x as x, the other branch of an if",
    "constant": "a number one higher, one lower or doubled, True for False",
    "axis": "dim or axis, in its place or by name, one off",
    "sign": "-x as x",
    "function": "min for max, floor for ceil, int for round, sum for mean, any for all, and their kin of numpy and torch",
    "swapped arguments": "the first two arguments of a call",
    "dropped keyword": "a call without one of its keywords",
    "bound": "one end of a slice one off, or open; a slice without its step",
    "dropped statement": "x += y, or a call for its effect, left out",
}

LEFT_OUT = {
    "text": "error messages, warnings, docstrings, names, formatted text: no number changes",
    "types": "annotations, casts, TYPE_CHECKING, the decorators of a function or class, imports",
    "progress": "what tells the user how far a computation is (track, advancing)",
    "device": "device=, non_blocking=, pin_memory=, .to(device), .cpu(): nothing changes on a machine without a GPU",
    "layout": "memory_format=, contiguous(), order=, copy=, stacklevel=, strict=True: neither value nor order changes",
    "symmetric": "the arguments of min, max, minimum, maximum and hypot the other way round: of numbers the answer is the same",
    "put together": "lists, text and sets that + or | put together: in most cases a TypeError, which is noticed by itself",
    "seconds": "lines of bytes, chunk sizes and caches, by the names in SPEED: they decide how fast and in how much memory",
}

SPEED = re.compile(
    r"bytes|memory|MEMORY|\bUSED\b|\bcache|chunk_shapes|PREPAR|WORKING_SET|INTENSITY|LARGEST_TENSOR|SHAPES_CACHED|\bCALL\b|\bPIXEL\b|\bTAIL\b"
    r"|\blive\b|\bpeak\b|\bBATCH\b|batch_size|empty_cache|threads|@cache|lru_cache"
)

SPEED_ONLY = {
    "occlusion/incremental/plan.py": {
        "_largest_chunk": "how large a chunk is",
        "_chunk_shapes": "which shapes of chunks are compared",
        "_total_cost": "an estimate of seconds, by which shapes of chunks are compared",
        "_gathered_bytes": "an estimate of bytes",
        "_packed_bytes": "an estimate of bytes",
        "_split": "how positions are divided over chunks",
    },
    "subject/captured/graph.py": {"_bytes_for_one_image": "an estimate of bytes"},
}
"""Functions that decide nothing but speed and memory, each with what it decides."""

_ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Pow: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_COMPARED = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}  # fmt: skip
_FUNCTIONS = [
    ("min", "max"), ("amin", "amax"), ("argmin", "argmax"), ("nanmin", "nanmax"), ("minimum", "maximum"),
    ("floor", "ceil"), ("sum", "mean"), ("nansum", "nanmean"), ("zeros", "ones"), ("zeros_like", "ones_like"),
    ("any", "all"), ("sin", "cos"), ("std", "var"), ("cumsum", "cumprod"), ("logical_and", "logical_or"),
    ("hstack", "vstack"), ("rows", "columns"), ("height", "width"), ("top", "left"), ("low", "high"), ("start", "stop"),
]  # fmt: skip
_FUNCTION = {first: second for pair in _FUNCTIONS for first, second in (pair, pair[::-1])} | {"round": "int"}
_AS_ITS_ARGUMENT = {
    "abs",
    "sqrt",
    "exp",
    "log",
    "log1p",
    "relu",
    "sorted",
    "reversed",
    "flip",
    "cumsum",
    "float",
    "round",
}
_SYMMETRIC = {"min", "max", "minimum", "maximum", "hypot"}
_AXES = {"dim", "axis", "dims", "axes"}
_AXIS_METHODS = {
    "sum",
    "mean",
    "amax",
    "amin",
    "std",
    "var",
    "cumsum",
    "argmax",
    "argmin",
    "unsqueeze",
    "squeeze",
    "flip",
}
_NO_MEANING = {"device", "non_blocking", "pin_memory", "memory_format", "order", "copy", "stacklevel", "hint"}
_SAYING = {"warn", "cast", "TypeVar", "Annotated", "nearest", "advance", "Parameter"}
"""Calls that speak to the user or to the type checker: what stands in them is no number of an answer."""
_NO_MEANING_CALLS = {
    "warn", "track", "advancing", "contiguous", "cpu", "to", "cast", "isinstance", "getattr", "hasattr", "issubclass",
    "TypeVar", "NamedTuple", "setdefault", "zip", "super", "lazy", "register", "detach", "eval", "requires_grad_", "copy",
    "join", "format", "startswith", "endswith", "no_grad", "inference_mode", "set_grad_enabled", "field",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A change of meaning.

    Attributes
    ----------
    path : str
        The module, from the package's folder on.
    line : int
        Where the changed expression begins.
    function : str
        The function around it; empty for the module itself and for what a class states.
    kind : str
        A key of `KINDS`.
    change : str
        The expression before and after.
    lines : range
        Lines of the statement around it, of which a test must run one.
    node, variant : int
        Which node of the module's tree, and which of its variants.
    """

    path: str
    line: int
    function: str
    kind: str
    change: str
    lines: range
    node: int
    variant: int

    @property
    def key(self) -> str:
        """What the mutant is, line numbers left out."""
        return f"{self.path} {self.function}: {self.change}"


def core_files(package: Path) -> list[str]:
    """Give the modules that are mutated, from the package's folder on."""
    paths = [f"{folder}/{name}.py" for folder, names in CORE.items() for name in names.split()]
    missing = [path for path in paths if not (package / path).is_file()]
    if missing:
        raise SystemExit(f"benchmarks/mutants.py names modules that are gone: {', '.join(missing)}")
    return paths


def draw(package: Path, number: int, seed: int) -> list[Mutant]:
    """Draw mutants without repetition: a line of the core at random, one of the kinds on it, one of that kind."""
    by_line: dict[tuple[str, int], list[Mutant]] = {}
    for path in core_files(package):
        for mutant in mutants_of(path, (package / path).read_text()):
            by_line.setdefault((path, mutant.line), []).append(mutant)
    generator = random.Random(seed)
    drawn = []
    for line in generator.sample(sorted(by_line), number):
        kind = generator.choice(sorted({mutant.kind for mutant in by_line[line]}))
        drawn.append(generator.choice([mutant for mutant in by_line[line] if mutant.kind == kind]))
    return drawn


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    """Give all mutants of a module."""
    tree = ast.parse(source)
    numbers = {id(node): number for number, node in enumerate(ast.walk(tree))}
    lines = source.splitlines()
    for node, function, statement in _meaningful(tree, path, "", None):
        if any(SPEED.search(line) for line in lines[node.lineno - 1 : node.end_lineno]):
            continue
        for variant, (kind, replacement) in enumerate(_variants(node)):
            before, after = (
                ast.unparse(ast.fix_missing_locations(copy.deepcopy(side))) for side in (node, replacement)
            )
            if before != after:
                change = f"{_short(before)}  ->  {_short(after)}"
                yield Mutant(path, node.lineno, function, kind, change, statement, numbers[id(node)], variant)


def mutated_tree(source: str, mutant: Mutant) -> ast.Module:
    """Give the module's tree with the change made, all lines where they were."""
    tree = ast.parse(source)
    changed = list(ast.walk(tree))[mutant.node]
    replacement = [replacement for _, replacement in _variants(changed)][mutant.variant]
    for parent in ast.walk(tree):
        for name, child in ast.iter_fields(parent):
            if child is changed:
                setattr(parent, name, replacement)
            elif isinstance(child, list) and any(one is changed for one in child):
                child[[one is changed for one in child].index(True)] = replacement
    ast.copy_location(replacement, changed)
    return ast.fix_missing_locations(tree)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else f"{text[:100]} ... {text[-55:]}"


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _means_nothing(keyword: ast.keyword) -> bool:
    """Say whether a keyword changes no number; strict=True only raises where two sides differ in length, which none does."""
    return keyword.arg in _NO_MEANING or (keyword.arg == "strict" and ast.unparse(keyword.value) == "True")


def _is_text(node: ast.AST) -> bool:
    return (isinstance(node, ast.Constant) and isinstance(node.value, str)) or isinstance(node, ast.JoinedStr)


def _meaningful(
    node: ast.AST, path: str, function: str, statement: range | None
) -> Iterator[tuple[ast.expr | ast.stmt, str, range]]:
    """Give the expressions and statements whose change is one of meaning, each with its function and its statement's lines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if node.name in SPEED_ONLY.get(path, {}) or node.name in ("__repr__", "__str__", "__post_init__"):
            return
        inner = f"{function}.{node.name}" if function else node.name
        body = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
        for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            yield from _meaningful(default, path, inner, body)
        for child in node.body:
            yield from _meaningful(child, path, inner, None)
        return
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            named = isinstance(child, ast.FunctionDef | ast.ClassDef)  # the others are executed by the import
            yield from _meaningful(child, path, f"{function}.{node.name}".lstrip(".") if named else "", None)
        return
    if isinstance(node, ast.Raise | ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr | ast.AnnAssign):
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _meaningful(node.value, path, function, range(node.lineno, (node.end_lineno or node.lineno) + 1))
        return
    if isinstance(node, ast.If) and any(_name(part) == "TYPE_CHECKING" for part in [node.test]):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Call) and _name(node.func) in _SAYING:
        return
    if isinstance(node, ast.Call) and _name(node.func).endswith(("Error", "Warning")):
        return
    if isinstance(node, ast.Subscript) and _name(node.value) in {
        "Annotated",
        "Callable",
        "NDArray",
        "Literal",
        "dict",
        "list",
    }:
        return
    if isinstance(node, ast.keyword) and _means_nothing(node):
        return
    if isinstance(node, ast.stmt):
        first = node.lineno
        body = getattr(node, "body", None)
        last = body[0].lineno - 1 if body else node.end_lineno or first
        statement = range(first, max(first, last) + 1)
    if isinstance(node, ast.expr | ast.stmt) and statement is not None:
        yield node, function, statement
    for child in ast.iter_child_nodes(node):
        yield from _meaningful(child, path, function, statement)


def _variants(node: ast.AST) -> Iterator[tuple[str, ast.expr | ast.stmt]]:
    """Give the changes of one node, in an order that holds."""
    match node:
        case ast.BinOp(left, operator, right):
            put_together = (ast.List, ast.Tuple, ast.Dict, ast.Set, ast.ListComp, ast.DictComp)
            if _is_text(left) or _is_text(right) or isinstance(left, put_together) or isinstance(right, put_together):
                return
            if other := _ARITHMETIC.get(type(operator)):
                yield "arithmetic", ast.BinOp(left, other(), right)
            if isinstance(operator, ast.Add | ast.Sub | ast.Mult | ast.Div):
                yield "dropped term", left
                yield "dropped term", ast.UnaryOp(ast.USub(), right) if isinstance(operator, ast.Sub) else right
        case ast.AugAssign(target, operator, term):
            if not isinstance(term, ast.List | ast.Tuple | ast.JoinedStr) and (
                other := _ARITHMETIC.get(type(operator))
            ):
                yield "arithmetic", ast.AugAssign(target, other(), term)
                yield "dropped statement", ast.Pass()
        case ast.Compare(left, [operator], [right]):
            for other in _COMPARED.get(type(operator), ()):
                yield "comparison", ast.Compare(left, [other()], [right])
        case ast.BoolOp(operator, operands):
            yield "boolean", ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), operands)
            for left_out in range(len(operands)):
                rest = [operand for number, operand in enumerate(operands) if number != left_out]
                yield "boolean", rest[0] if len(rest) == 1 else ast.BoolOp(operator, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield "boolean", operand
        case ast.UnaryOp(ast.USub(), operand):
            yield "sign", operand
        case ast.IfExp(test, body, otherwise):
            yield "boolean", ast.IfExp(test, otherwise, body)
        case ast.If(test, body, otherwise):
            yield "boolean", ast.If(ast.UnaryOp(ast.Not(), test), body, otherwise)
        case ast.Constant(value) if isinstance(value, bool):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value) if isinstance(value, int | float):
            yield "constant", ast.Constant(value + 1 if isinstance(value, int) else 2 * value if value else 1.0)
            if isinstance(value, int) and value > 0:
                yield "constant", ast.Constant(value - 1)
        case ast.Attribute(value, name, context) if name in _FUNCTION and isinstance(context, ast.Load):
            if name != "round":
                yield "function", ast.Attribute(value, _FUNCTION[name], ast.Load())
        case ast.Name(name, ast.Load()) if name in ("min", "max", "sum", "any", "all"):
            if name != "sum":
                yield "function", ast.Name(_FUNCTION[name], ast.Load())
        case ast.Subscript(value, ast.Slice() as bounds, context):
            for changed in _bounds(bounds):
                yield "bound", ast.Subscript(value, changed, context)
        case ast.Call():
            yield from _calls(node)
        case ast.Expr(ast.Call(function)):
            if _name(function) not in _NO_MEANING_CALLS:
                yield "dropped statement", ast.Pass()


def _bounds(bounds: ast.Slice) -> Iterator[ast.Slice]:
    lower, upper, step = bounds.lower, bounds.upper, bounds.step
    one = ast.Constant(1)
    if lower is not None:
        yield ast.Slice(ast.BinOp(lower, ast.Add(), one), upper, step)
        yield ast.Slice(None, upper, step)
    if upper is not None:
        yield ast.Slice(lower, ast.BinOp(upper, ast.Sub(), one), step)
        yield ast.Slice(lower, None, step)
    if step is not None:
        yield ast.Slice(lower, upper, None)


def _calls(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    name, arguments, keywords = _name(call.func), call.args, call.keywords
    if name in _NO_MEANING_CALLS:
        return
    plain = not any(isinstance(argument, ast.Starred) for argument in arguments)
    if plain and len(arguments) >= 2 and not (name in _SYMMETRIC and not keywords):
        yield "swapped arguments", ast.Call(call.func, [arguments[1], arguments[0], *arguments[2:]], keywords)
    for left_out, keyword in enumerate(keywords):
        if keyword.arg is None or _means_nothing(keyword):
            continue
        rest = keywords[:left_out] + keywords[left_out + 1 :]
        yield "dropped keyword", ast.Call(call.func, arguments, rest)
        if keyword.arg in _AXES and (moved := _moved(keyword.value)):
            axis = ast.keyword(keyword.arg, moved)
            yield "axis", ast.Call(call.func, arguments, [*keywords[:left_out], axis, *keywords[left_out + 1 :]])
    if (
        name in _AXIS_METHODS
        and isinstance(call.func, ast.Attribute)
        and arguments
        and (moved := _moved(arguments[-1]))
    ):
        yield "axis", ast.Call(call.func, [*arguments[:-1], moved], keywords)
    if name in _AS_ITS_ARGUMENT and plain and len(arguments) == 1:
        if name == "round":
            yield "function", ast.Call(ast.Name("int", ast.Load()), arguments, keywords)
        else:
            yield "function", arguments[0]


def _moved(axis: ast.expr) -> ast.expr | None:
    match axis:
        case ast.Constant(int(number)):
            return ast.Constant(number - 1 if number > 0 else 1)
        case ast.UnaryOp(ast.USub(), ast.Constant(int(number))):
            return ast.UnaryOp(ast.USub(), ast.Constant(number + 1 if number == 1 else number - 1))
        case ast.Tuple([*axes]) if len(axes) > 1:
            return axes[0]
    return None
