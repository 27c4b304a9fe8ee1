"""Guards of the structure of jinit, which read sources without running them.

Each guard takes sources and returns one line per violation; test_architecture.py runs them all.
"""

import ast
import graphlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rooms import ARROWS, SHARED, Room

Sources = Mapping[str, str]  # "jinit/room/file.py" -> its text


@dataclass(frozen=True)
class Import:
    """One imported name: the file and line, the dotted target, and whether it waits for a call."""

    file: str
    line: int
    target: str
    lazy: bool
    is_for_types: bool

    @property
    def top(self) -> str:
        return self.target.split(".")[0]

    @property
    def room(self) -> str | None:
        """The room of jinit that is imported; None for the root and for other libraries."""
        parts = self.target.split(".")
        return parts[1] if parts[0] == "jinit" and len(parts) > 1 and parts[1] in ARROWS else None

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"


def room_of(file: str) -> str:
    return Path(file).parts[1].removesuffix(".py")


def module_of(file: str) -> str:
    return ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__")


def statements(
    node: ast.AST, lazy: bool = False, for_types: bool = False
) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Every node below, whether it waits for a call, and whether only a type checker reads it."""
    for child in ast.iter_child_nodes(node):
        checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield child, lazy, for_types
        yield from statements(child, lazy or checking or function, for_types or checking)


def absolute(file: str, level: int, name: str) -> str:
    """The dotted target of a relative import of `level` dots."""
    package = Path(file).parts[:-1]
    kept = package[: len(package) - level + 1]
    return ".".join([*kept, name] if name else kept)


def targets(file: str, node: ast.AST) -> list[str]:
    """The dotted names a node imports, `import_module("literal")` included."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            base = absolute(file, node.level, node.module or "") if node.level else node.module
            return [f"{base}.{alias.name}" for alias in node.names]
        case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]) if ast.unparse(
            function
        ).endswith(("import_module", "__import__")):
            level = len(name) - len(name.lstrip("."))
            return [absolute(file, level, name.lstrip(".")) if level else name]
    return []


parse = cache(ast.parse)


@cache
def imports_of(file: str, text: str) -> tuple[Import, ...]:
    return tuple(
        Import(file, getattr(node, "lineno", 0), target, lazy, for_types)
        for node, lazy, for_types in statements(parse(text))
        for target in targets(file, node)
    )


def imports(sources: Sources) -> list[Import]:
    return [each for file, text in sources.items() for each in imports_of(file, text)]


def unknown_rooms(sources: Sources) -> list[str]:
    return [f"{file} is in no room of ARROWS" for file in sources if room_of(file) not in ARROWS]


def forbidden_rooms(sources: Sources) -> list[str]:
    """Arrows between rooms that the table does not have, and ways round a door."""
    found = []
    for each in imports(sources):
        here = room_of(each.file)
        if here not in ARROWS or each.room in (None, here, *SHARED):
            continue
        door = ARROWS[here].doors.get(each.room)
        if each.room not in ARROWS[here].rooms.split():
            found.append(f"{each}: {here} may import {ARROWS[here].rooms or 'no room'}")
        elif door and each.target.split(".")[-1] not in door.split():
            found.append(f"{each}: {here} may enter {each.room} only through {door}")
    return found


def unused_arrows(sources: Sources, arrows: Mapping[str, Room] = ARROWS) -> list[str]:
    """Arrows and libraries that the table permits and no import of the room uses.

    The command line and the root may import whatever there is.
    """
    used = {
        (room_of(each.file), name) for each in imports(sources) for name in (each.room, each.top)
    }
    rooms = {room_of(file) for file in sources} - {"cli", "__init__"}
    return [
        f"{here} may import {name}, and does not: take it out of ARROWS"
        for here, room in arrows.items()
        if here in rooms
        for name in f"{room.rooms} {room.libraries} {room.tucked}".split()
        if (here, name) not in used
    ]


def forbidden_libraries(sources: Sources) -> list[str]:
    found = []
    for each in imports(sources):
        room = ARROWS.get(room_of(each.file), Room())
        tucked = each.lazy and each.top in room.tucked.split()
        known = each.top in room.libraries.split() or each.top in sys.stdlib_module_names
        if each.top != "jinit" and not known and not tucked:
            found.append(f"{each}: allowed are {room.libraries}, in functions {room.tucked}")
    return found


def scattered_libraries(sources: Sources) -> list[str]:
    """Tucked libraries that more than one file of a room imports."""
    users: dict[tuple[str, str], set[str]] = {}
    for each in imports(sources):
        here = room_of(each.file)
        if each.top in ARROWS.get(here, Room()).tucked.split():
            users.setdefault((here, each.top), set()).add(each.file)
    return [
        f"{library} is imported by {', '.join(sorted(files))}; keep it behind one file of {here}"
        for (here, library), files in users.items()
        if len(files) > 1
    ]


def root_imports(sources: Sources) -> list[str]:
    return [
        f"{each}: import the room that defines it, not the root"
        for each in imports(sources)
        if each.top == "jinit" and each.room is None
    ]


def private_jax(sources: Sources) -> list[str]:
    imported = [str(each) for each in imports(sources) if "._src" in each.target]
    touched = [
        f"{file}:{node.lineno} touches {ast.unparse(node)}"
        for file, text in sources.items()
        if "_src" in text
        for node in ast.walk(parse(text))
        if isinstance(node, ast.Attribute) and node.attr == "_src"
    ]
    return imported + touched


def flax_outside_hooks(sources: Sources) -> list[str]:
    return [
        str(each)
        for each in imports(sources)
        if each.top == "flax" and room_of(each.file) not in ("hooks", "params_file")
    ]


def jax_in_report(sources: Sources) -> list[str]:
    return [
        str(each)
        for each in imports(sources)
        if each.top in ("jax", "jaxlib", "flax", "optax") and room_of(each.file) == "report"
    ]


def prints(sources: Sources) -> list[str]:
    return [
        f"{file}:{node.lineno} prints"
        for file, text in sources.items()
        if "print" in text
        for node in ast.walk(parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
        if room_of(file) != "cli"
    ]


def eager_command_line(sources: Sources) -> list[str]:
    """Top-level imports of the command line beyond click: they slow every --help."""
    return [
        f"{each} at import; move it into a function"
        for each in imports(sources)
        if room_of(each.file) == "cli" and not each.lazy
        if each.top not in (*sys.stdlib_module_names, "click")
        and each.room not in ("cli", "choice")
    ]


def front_door_definitions(sources: Sources) -> list[str]:
    """Functions and classes defined in the root, which only re-exports."""
    body = parse(sources.get("jinit/__init__.py", "")).body
    return [
        f"jinit/__init__.py:{node.lineno} defines {node.name}"
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if node.name not in ("__getattr__", "__dir__")
    ]


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [" <- ".join(error.args[1])]
    return []


def room_cycles(sources: Sources) -> list[str]:
    """Cycles between rooms, lazy imports included."""
    graph: dict[str, set[str]] = {}
    for each in imports(sources):
        if each.room not in (None, room_of(each.file)):
            graph.setdefault(room_of(each.file), set()).add(each.room or "")
    return cycle(graph)


def module_cycles(sources: Sources) -> list[str]:
    """Cycles between modules; imports inside functions count, those for type checkers do not."""
    modules = {module_of(file) for file in sources}
    graph: dict[str, set[str]] = {}
    for each in imports(sources):
        parts = each.target.split(".")
        prefixes = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
        target = next((prefix for prefix in prefixes if prefix in modules), None)
        if target and target != module_of(each.file) and not each.is_for_types:
            graph.setdefault(module_of(each.file), set()).add(target)
    return cycle(graph)


def long_files(sources: Sources, most: int = 350) -> list[str]:
    """Files that hold more lines than a reader keeps in mind: look for the seam."""
    counts = {file: len(text.splitlines()) for file, text in sources.items()}
    return [
        f"{file} has {count} lines, above {most}" for file, count in counts.items() if count > most
    ]


def names_defined_twice(sources: Sources) -> list[str]:
    """Public names that two files define. The three kinds of network share the name `trace`."""
    files: dict[str, list[str]] = {}
    for file, text in sources.items():
        for name in set(defined_names(parse(text))) - {"main", "trace"}:
            files.setdefault(name, []).append(file)
    return [
        f"{name} is defined in {' and '.join(sorted(found))}; a name has one meaning"
        for name, found in files.items()
        if len(found) > 1 and not name.startswith("_")
    ]


def defined_names(module: ast.Module) -> Iterator[str]:
    """Names of the functions, classes and constants at the top level of a module."""
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))


GUARDS = [
    long_files,
    names_defined_twice,
    unknown_rooms,
    forbidden_rooms,
    unused_arrows,
    forbidden_libraries,
    scattered_libraries,
    root_imports,
    private_jax,
    flax_outside_hooks,
    jax_in_report,
    prints,
    eager_command_line,
    front_door_definitions,
    room_cycles,
    module_cycles,
]
