"""Write the API reference and the guides as HTML pages; any warning is an error.

python .github/reference/build.py FOLDER
"""

import argparse
import importlib
import inspect
import pathlib
import re
import types
import warnings

import pdoc
from pdoc.doc import Module

import jinit

HERE = pathlib.Path(__file__).parent
GUIDES = {"How to choose": "HOW_TO_CHOOSE", "Sharp bits": "SHARP_BITS"}
ROOMS = (
    "initializers",
    "initializers.adapters",
    "model",
    "hooks.linen",
    "hooks.nnx",
    "programs",
    "rules",
    "rules.recipes",
    "gains",
    "diagnostics",
    "theory",
    "calibrate",
    "pretrain",
    "sweep",
    "sweep.tasks",
    "report",
)


def room_names(room: str) -> list[str]:
    """Return the names of `jinit.<room>` that users may use, without its modules."""
    module = importlib.import_module(f"jinit.{room}")
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
    members = inspect.getmembers(module, lambda value: inspect.getmodule(value) is module)
    return [name for name, _ in members if not name.startswith("_")]


def page(room: str) -> str:
    """Return the address of a package's page, seen from the first page."""
    return f"jinit/{room.replace('.', '/')}.html"


def addresses() -> dict[str, str]:
    """Return the address of every name of the root: the first page that has it."""
    found = {room.rpartition(".")[2]: page(room) for room in ROOMS}
    for room in ROOMS:
        for name in room_names(room):
            found.setdefault(name, f"{page(room)}#{name}")
    missing = set(jinit.__all__) - set(found)
    if missing:
        raise SystemExit(f"no page of {ROOMS} has {sorted(missing)}")
    return {name: found[name] for name in jinit.__all__}


def guide(name: str, links: dict[str, str]) -> Module:
    """Return the page of a guide, in which `jinit.name` between backticks leads to its page."""
    text = (HERE.parent / f"{GUIDES[name]}.md").read_text("utf-8")
    text = text.partition("\n")[2]  # the name of the page stands for the title
    text = re.sub(
        r"`jinit\.(\w+)([^`\n]*)`",
        lambda match: f"[{match[0]}]({links[match[1]]})" if match[1] in links else match[0],
        text,
    )
    return document(name, text)


def front_page(links: dict[str, str]) -> Module:
    """Return the first page: what jinit is, the guides, and a line for each name of the root."""
    guides = ", ".join(f"[{name}]({name.replace(' ', '%20')}.html)" for name in GUIDES)
    lines = [jinit.__doc__ or "", f"**Guides**: {guides}", ""]
    for room in ROOMS:
        module = Module.from_name(f"jinit.{room}")
        lines += [f"## [jinit.{room}]({page(room)})", module.docstring.partition("\n")[0], ""]
        for name in room_names(room):
            if links.get(name) == f"{page(room)}#{name}":
                summary = module.members[name].docstring.partition("\n")[0]
                lines.append(f"- [`jinit.{name}`]({links[name]}) {summary}")
        lines.append("")
    return document("jinit", "\n".join(lines))


def document(name: str, text: str) -> Module:
    """Return a page of text, as a module without members."""
    module = types.ModuleType(name, text)
    module.__all__ = []
    module.__docformat__ = "markdown"
    return Module(module)


def pages() -> dict[str, Module]:
    """Return all pages by name."""
    links = addresses()
    found = {"jinit": front_page(links)} | {name: guide(name, links) for name in GUIDES}
    return found | {f"jinit.{room}": Module.from_name(f"jinit.{room}") for room in ROOMS}


def main() -> None:
    """Write all pages into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    warnings.simplefilter("error")
    pdoc.render.configure(docformat="google", show_source=False)
    found = pages()
    for name, module in found.items():
        target = folder / f"{name.replace('.', '/')}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(pdoc.render.html_module(module, found), "utf-8")
    (folder / "index.html").write_text((folder / "jinit.html").read_text("utf-8"), "utf-8")
    (folder / "search.js").write_text(pdoc.render.search_index(found), "utf-8")
    print(f"{len(found)} pages in {folder}; open {folder / 'index.html'}")


if __name__ == "__main__":
    main()
