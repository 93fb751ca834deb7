"""The table of waypoints and the code agree, and what is called at a waypoint does nothing."""

import ast
from functools import cache
from pathlib import Path

import neural_selfie
from neural_selfie import waypoints

SOURCE = Path(neural_selfie.__file__).parent


@cache
def modules() -> tuple[tuple[Path, ast.Module], ...]:
    """Return every module of the source, as a tree."""
    return tuple((path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(SOURCE.rglob("*.py")))


@cache
def calls() -> tuple[tuple[Path, ast.Call], ...]:
    """Return every call of `waypoints.reached`."""
    return tuple(
        (path, node)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "waypoints.reached"
    )


def test_table_and_calls_agree() -> None:
    """Every waypoint of the table is reached somewhere, and none is reached that the table does not explain."""
    called = set()
    for path, call in calls():
        [name] = call.args
        assert isinstance(name, ast.Constant), f"{path.name}:{call.lineno} is not in plain words"
        called.add(name.value)
    assert called == set(waypoints.WAYPOINTS)


def test_nothing_but_the_call_leads_there() -> None:
    """The function is always called through its module, and never handed around or imported by its name."""
    for path, tree in modules():
        uses = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "reached"]
        assert len(uses) == sum(where == path for where, _ in calls()), path.name
        assert "reached" not in [
            alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
        ], path.name


def test_reaching_a_waypoint_does_nothing() -> None:
    """The function is its docstring, and its module imports nothing that could make it another."""
    tree = next(tree for path, tree in modules() if path.name == "waypoints.py")
    [function] = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    [only] = function.body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value, ast.Constant)
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {node.module for node in imported if isinstance(node, ast.ImportFrom)} == {"collections.abc", "types"}
    assert len(imported) == 2
