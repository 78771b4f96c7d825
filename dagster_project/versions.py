"""Versions by content: of code, of a stage's result, and of a data folder.

`code_version` hashes the modules a stage names and whatever finecap modules those import, read as
files and never imported. It hashes the syntax tree without docstrings, so that a comment or a
reformatted line retrains nothing, while any change of behaviour does. Left out: `config` and `log`
(settings enter a data version by value) and versions of installed packages, but for those whose
reward terms the settings weigh: these enter like an input.

`folder_md5` is DVC's: md5 of the sorted JSON list of each file's md5 and path, plus `.dir`.
"""

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import util
from importlib.metadata import entry_points
from operator import itemgetter
from pathlib import Path
from typing import Any

PACKAGE = "finecap"
NOT_CODE = ("finecap.config", "finecap.log")
"""Settings enter a data version by value."""
REWARDS = "finecap.rewards"
"""Group of the entry points that bring reward terms; `finecap.rewards.registry` needs torch."""
_CHUNK = 1 << 20  # bytes
_IMPORT = re.compile(
    rf"^[ \t]*(?:from|import)[ \t]+({PACKAGE}[\w.]*)(?:[ \t]+import[ \t]+(\([^)]*\)|[^\n]*))?", re.M
)
_NAME = re.compile(r"\w+")


def data_version(inputs: Mapping[str, str], config: Mapping[str, Any], code: str) -> str:
    """The version of what a stage makes of `inputs` (version by asset), `config` and `code`.

    Installed packages that bring reward terms of `config` count among the inputs, named or not.
    """
    everything = {**inputs, **plug_ins(config)}
    content = json.dumps([sorted(everything.items()), config, code], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def plug_ins(config: Mapping[str, Any]) -> dict[str, str]:
    """Version of each installed package whose reward terms `config` weighs, by `package NAME`."""
    weighed = config.get("weights")
    if not weighed:
        return {}
    brought = [point for point in entry_points(group=REWARDS) if point.name in weighed]
    packages = [point.dist for point in brought if point.dist is not None]
    return {f"package {p.name}": p.version for p in packages if p.name != PACKAGE}


def code_version(
    modules: Sequence[str],
    files: Iterable[Path] = (),
    packages: Mapping[str, str] | None = None,
) -> str:
    """Content hash of `modules`, of the finecap modules they import, and of data `files`.

    Args:
        modules: by their dotted names.
        files: that their result depends on.
        packages: version by name of those that bring a part of the code.

    Raises:
        FileNotFoundError: a named module does not exist.
    """
    digest = hashlib.sha256()
    for module in sorted(closure(modules)):
        digest.update(f"{module}\0{_syntax(module_file(module))}\0".encode())
    for file in sorted(files):
        digest.update(f"{file.name}\0".encode() + file.read_bytes())
    for package, version in sorted((packages or {}).items()):
        digest.update(f"{package}\0{version}\0".encode())
    return digest.hexdigest()[:16]


def closure(modules: Sequence[str]) -> set[str]:
    """`modules` and every finecap module they import, directly or not."""
    for module in modules:
        if not module_file(module).is_file():
            raise FileNotFoundError(
                f"stage names module {module}, but {module_file(module)} is not"
            )
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            package = module.rpartition(".")[0]  # importing a module runs its package first
            is_run = bool(package) and module_file(package).is_file()
            waiting += [*_imports(module), *([package] if is_run else [])]
    return {module for module in found if not is_left_out(module)}


def is_left_out(module: str) -> bool:
    """Whether a change of the module changes no result."""
    return any(module == own or module.startswith(f"{own}.") for own in NOT_CODE)


def module_file(module: str) -> Path:
    """The source file of a finecap module, found without importing it."""
    path = package_folder().joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def package_folder() -> Path:
    """Folder of the library."""
    spec = util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"package {PACKAGE} is not installed; run `make .venv`")
    return Path(spec.origin).parent


def folder_md5(folder: Path) -> tuple[str, int, int]:
    """DVC's hash of a folder (`<md5>.dir`), its size in bytes and its number of files."""
    listing: list[dict[str, str]] = []
    size = 0
    for file in files_below(folder):
        size += os.path.getsize(file)  # noqa: PTH202  Path is slow over tens of thousands of files
        relative = os.path.relpath(file, folder).replace(os.sep, "/")
        listing.append({"md5": file_md5(file), "relpath": relative})
    listing.sort(key=itemgetter("relpath"))
    digest = hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False)
    return f"{digest.hexdigest()}.dir", size, len(listing)


def folder_signature(folder: Path) -> str:
    """A cheap stand-in for the content: name, size, inode and change time of every file."""
    digest = hashlib.sha256()
    for file in files_below(folder):
        stat = os.stat(file)  # noqa: PTH116  as above
        digest.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}\n".encode())
    return digest.hexdigest()


def file_md5(file: str) -> str:
    """MD5 of a file's bytes."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(file, "rb") as stream:  # noqa: PTH123  as above
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def files_below(folder: Path) -> Iterator[str]:
    """Paths of all files in `folder` and below, in a fixed order."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield os.path.join(parent, name)  # noqa: PTH118  as above


@cache
def _syntax(path: Path) -> str:
    """The file's syntax tree as text, docstrings and positions left out."""
    tree = ast.parse(path.read_text())
    _strip_docstrings(tree)
    return ast.dump(tree)


def _strip_docstrings(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> None:
    """Remove docstrings of the node and of what it defines directly; expressions hold none."""
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        node.body = node.body[1:]
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            _strip_docstrings(child)


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Finecap modules that `module` imports, anywhere in its source.

    By pattern, since walking all trees would double the time that loading the graph takes. A match
    in a docstring's example counts too, and does no harm. Imports are absolute in this project.
    """
    named: set[str] = set()
    for source, names in _IMPORT.findall(module_file(module).read_text()):
        named |= {source, *(f"{source}.{name}" for name in _NAME.findall(names))}
    return tuple(name for name in sorted(named) if module_file(name).is_file())
