"""Print how the code measures: names, folders, docstrings, lines, and what one small raw file passes.

    scripts/measure-code [ROOT]

ROOT is a checkout, of any commit; this one if it is left out. Rows marked ~ are counted by a pattern, which the row names: they show a
trend, and need not be complete.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef
_FEW, _MANY = 20, 60
_TALK = re.compile(r"(?:^|_)(?:told|tell|asked|asking|look|looks|looked)(?:_|$)")
_STORES = re.compile(r"^(?:S3|Disk|Memory)(?:Source|Target|Store)$")
_DIGEST = re.compile(r"etag|md5|digest|fingerprint|content")
_TRIES = re.compile(r"TRIES|REWRITES|REOPENINGS|RETRIES|ATTEMPTS|ROUNDS")


class Tree:
    """The parsed modules of one checkout's `migrator/`."""

    def __init__(self, root: Path) -> None:
        self.root = root / "migrator"
        self.texts = {path: path.read_text() for path in sorted(self.root.rglob("*.py"))}
        self.modules = {path: ast.parse(text) for path, text in self.texts.items()}

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[tuple[Path, Any]]:
        """Yield each node of these kinds, and its module's path."""
        for path, module in self.modules.items():
            for node in ast.walk(module):
                if isinstance(node, kinds):
                    yield path, node

    def public_functions(self) -> Iterator[tuple[str, Function]]:
        """Yield public functions of modules and public methods of public classes, with where each is."""
        for path, module in self.modules.items():
            for owner in [
                module,
                *(node for node in module.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"),
            ]:
                for node in owner.body:
                    if isinstance(node, Function) and not node.name.startswith("_"):
                        yield f"{path.relative_to(self.root)}:{node.lineno} {node.name}", node


def folders(tree: Tree) -> Iterator[tuple[str, object]]:
    """Yield figures on modules and packages."""
    at_top = [path for path in tree.root.glob("*.py") if path.stem not in ("__init__", "__main__")]
    packages = [path for path in tree.root.iterdir() if (path / "__init__.py").exists()]
    sizes = {
        str(path.parent.relative_to(tree.root)): sum(
            1 for one in path.parent.iterdir() if not one.name.startswith("__")
        )
        for path in tree.root.rglob("__init__.py")
        if path.parent != tree.root
    }
    largest = ", ".join(f"{name} {size}" for name, size in sorted(sizes.items(), key=lambda one: -one[1])[:4])
    yield "modules at the top, beside packages", f"{len(at_top)} beside {len(packages)}"
    yield "entries of the largest packages", largest


def names(tree: Tree) -> Iterator[tuple[str, object]]:
    """Yield figures on names."""
    classes = Counter(node.name for _, node in tree.nodes(ast.ClassDef))
    twice = sorted(f"{name} {count}" for name, count in classes.items() if count > 1)
    yield "class names that stand for more than one class", f"{len(twice)} ({', '.join(twice)})"
    talk = sum(1 for text in tree.texts.values() for word in _identifiers(text) if _TALK.search(word))
    yield "~ names with told, asked, look and kin", talk


def _identifiers(text: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            yield token.string


def docstrings(tree: Tree) -> Iterator[tuple[str, object]]:
    """Yield figures on docstrings."""
    functions = list(tree.public_functions())
    bare = [where for where, node in functions if ast.get_docstring(node) is None]
    raising = [(where, node) for where, node in functions if _raises(node)]
    silent = [where for where, node in raising if "Raise" not in (ast.get_docstring(node) or "")]
    yield "public functions without a docstring", f"{len(bare)} of {len(functions)}"
    yield "public functions that raise and do not say so", f"{len(silent)} of {len(raising)}"


def _raises(function: Function) -> bool:
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(function))


def decisions(tree: Tree) -> Iterator[tuple[str, object]]:
    """Yield figures on things that shall be in one place."""
    equal = sorted({f"{path.relative_to(tree.root)}:{function.name}" for path, function in _comparing(tree)})
    yield (
        "~ functions that compare an ETag, digest or content by == or !=",
        f"{len(equal)} in {len({one.split(':')[0] for one in equal})} files",
    )
    tries = [name for _, name, _ in _constants(tree) if _TRIES.search(name)]
    yield "~ constants that bound tries", f"{len(tries)} ({', '.join(tries)})"
    for title, words in (
        ("small", r"_?(SMALL(_UP_TO)?|LARGEST)"),
        ("in parts", r"_?(WHOLE_UP_TO|(SMALLEST_)?PART_SIZE|SMALLEST_PART)"),
    ):
        found = [
            f"{name} in {path.relative_to(tree.root)}"
            for path, name, value in _constants(tree)
            if _is_size(name, value, words)
        ]
        yield f'~ constants of bytes for "{title}"', f"{len(found)} ({', '.join(found)})"
    tests = sum(1 for _, node in tree.nodes(ast.Call) if _is_type_test(node))
    yield "type tests on concrete stores", tests


def _comparing(tree: Tree) -> Iterator[tuple[Path, Function]]:
    for path, function in tree.nodes(ast.FunctionDef):
        for node in ast.walk(function):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
                if all(_DIGEST.search(side) and "'" not in side for side in sides):
                    yield path, function


def _constants(tree: Tree) -> Iterator[tuple[Path, str, str]]:
    for path, module in tree.modules.items():
        for node in module.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
                yield path, node.targets[0].id, ast.unparse(node.value)


def _is_size(name: str, value: str, names: str) -> bool:
    return bool(re.fullmatch(names, name) and re.search(r"<<|MIB", value))


def _is_type_test(node: ast.Call) -> bool:
    is_test = isinstance(node.func, ast.Name) and node.func.id == "isinstance" and len(node.args) == 2
    return is_test and any(isinstance(one, ast.Name) and _STORES.match(one.id) for one in ast.walk(node.args[1]))


def lines(tree: Tree) -> Iterator[tuple[str, object]]:
    """Yield figures on lines: of code, without docstrings, comments and blank lines; and comments that give reasons."""
    code = comments = 0
    for path, text in tree.texts.items():
        without = set()
        for node in ast.walk(tree.modules[path]):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                without.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        used = set()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                comments += not re.match(r"#\s*(noqa|type:|!)[^#]*$", token.string)
            elif token.type not in (
                tokenize.NL,
                tokenize.NEWLINE,
                tokenize.INDENT,
                tokenize.DEDENT,
                tokenize.ENDMARKER,
            ):
                used.update(range(token.start[0], token.end[0] + 1))
        code += len(used - without)
    yield "lines of code, without docstrings, comments and blank lines", code
    yield "comments on 100 lines of code", round(100 * comments / code, 1)


def passed(root: Path) -> Iterator[tuple[str, object]]:
    """Yield what one raw file passes: functions that are called once more for each raw file more. Runs migrations, in this process."""
    for title, way, size in (
        ("disk to S3", "up", 2_000),
        ("disk to S3 in parts", "up", 17 << 20),
        ("S3 to disk", "down", 2_000),
    ):
        few, many = (_FEW, _MANY) if size < 1 << 20 else (1, 3)
        first, second = (trace(root, way, size, number) for number in (few, many))
        grown = [name for name, count in second.items() if count - first[name] >= many - few]
        functions = sorted(name for name in grown if not name.startswith("value "))
        values = sorted(name.removeprefix("value ") for name in grown if name.startswith("value "))
        yield (
            f"functions and files that a raw file passes, {title}",
            f"{len(functions)} in {len({one.split(':')[0] for one in functions})}",
        )
        yield f"value types that carry it, {title}", f"{len(values)} ({', '.join(values)})"
        if "--calls" in sys.argv:
            yield "   calls", " ".join(functions)


def trace(root: Path, way: str, size: int, number: int) -> Counter[str]:
    """Return how often each function of the program ran in a migration of so many files. Runs in a process of its own."""
    command = [sys.executable, __file__, "--trace", str(root), way, str(size), str(number)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    if done.returncode:
        sys.exit(f"The migration that is measured failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return Counter(json.loads(done.stdout.splitlines()[-1]))


def run_traced(root: Path, way: str, size: int, number: int) -> None:
    """Run a migration with a profile function in all threads, and print the counts as JSON."""
    sys.path.insert(0, str(root))
    from migrator.cli.main import main  # noqa: PLC0415 of the checkout that is measured
    from tests.dialects.memory import Memory  # noqa: PLC0415
    from tests.dialects.s3 import ACCESS_KEY, SECRET_KEY, S3Server  # noqa: PLC0415

    counts: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        S3Server(Memory(), lambda request, serve: serve(request)).running() as server,
    ):
        for name in [name for name in os.environ if name.startswith(("AWS_", "S3_", "BYTES_"))]:
            del os.environ[name]
        os.environ |= {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "XDG_STATE_HOME": f"{folder}/state",
            "HOME": folder,
        }
        ids = [f"{one:03x}00000-0000-4000-8000-{one:012x}" for one in range(number)]
        for raw_id in ids:
            path = Path(folder, "data", "org", raw_id[:3], raw_id)
            path.parent.mkdir(parents=True)
            path.write_bytes((raw_id.encode() * (size // 36 + 1))[:size])
        ends = {"up": (f"{folder}/data", "s3"), "down": ("s3", f"{folder}/there")}
        words = ["--bucket", "raws", "--single-bucket", "--engine", "local", "--create-buckets", "--yes", "--json"]
        Path(folder, "there").mkdir()
        os.chown(
            Path(folder, "there"), 1000 if os.geteuid() == 0 else -1, -1
        )  # as root the program wants a folder of Bytes' user
        for direction in ("up", "down") if way == "down" else ("up",):
            source, target = ends[direction]
            with _profile(str(root / "migrator"), counts) if direction == way else contextlib.nullcontext():
                _run(main, ["migrate", "--from", source, "--to", target, *words])
    print(json.dumps(counts))


def _run(main: Callable[[list[str]], None], words: list[str]) -> None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            main(words)
    except SystemExit as ended:
        totals = json.loads(said.getvalue()).get("totals", {}) if said.getvalue() else {}
        if not totals.get("copied", {}).get("files"):
            sys.exit(f"exit status {ended.code}: {said.getvalue()}")


@contextlib.contextmanager
def _profile(folder: str, counts: Counter[str]) -> Iterator[None]:
    def note(frame: Any, event: str, _: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        where = str(frame.f_globals.get("__name__", ""))
        if where.startswith("namedtuple_") and code.co_name in ("__new__", "<lambda>"):
            counts[f"value {where.removeprefix('namedtuple_')}"] += 1
        elif code.co_name == "__init__" and code.co_filename == "<string>" and where.startswith("migrator"):
            counts[f"value {type(frame.f_locals.get('self')).__name__}"] += 1
        elif code.co_filename.startswith(folder) and not code.co_name.startswith("<"):
            name = getattr(code, "co_qualname", code.co_name)
            counts[f"{code.co_filename.removeprefix(folder + '/')}:{name}"] += 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def main() -> None:
    """Print the table."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    if "--trace" in sys.argv:
        run_traced(Path(words[0]), words[1], int(words[2]), int(words[3]))
        return
    root = Path(words[0] if words else Path(__file__).parents[1]).resolve()
    tree = Tree(root)
    for part in (folders(tree), names(tree), docstrings(tree), decisions(tree), lines(tree), passed(root)):
        for title, figure in part:
            print(f"| {title} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
