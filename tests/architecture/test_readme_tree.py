"""The README's tree is the real tree: every room and every top-level module has its line, and no line lies."""

import re

from tests.architecture.source_tree import REPOSITORY, SHIPPED, python_files, shown

_TREE_LINE = re.compile(r"^(?P<indent> *)(?P<name>[\w.\-/]+)(?P<rest>  +\S.*|/?)$")


def readme_paths() -> set[str]:
    """The paths of the code block that shows `streamapp/`; indented names lie below the line before them."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    trees = [block for block in blocks if re.search(r"^streamapp/", block, re.MULTILINE)]
    assert trees, "README.md has no code block with the tree"
    return {path for tree in trees for path in tree_paths(tree)}


def tree_paths(tree: str) -> list[str]:
    """Full paths of the tree's lines."""
    above: list[tuple[int, str]] = []
    paths = []
    for line in tree.splitlines():
        found = _TREE_LINE.match(line)
        if found is None:
            continue
        indent, name = len(found["indent"]), found["name"].rstrip("/")
        while above and above[-1][0] >= indent:
            above.pop()
        path = f"{above[-1][1]}/{name}" if above else name
        above.append((indent, path))
        paths.append(path)
    return paths


def test_tree_lines_are_read_with_their_indentation() -> None:
    lines = ("streamapp/   the service", "  app.py     composition root", "  core/", "    story.py   stories")
    assert tree_paths("\n".join((*lines, "retrain/training   torch"))) == [
        "streamapp", "streamapp/app.py", "streamapp/core", "streamapp/core/story.py", "retrain/training",
    ]  # fmt: skip


def test_every_room_has_its_line_in_the_readme() -> None:
    rooms = {shown(path.parent) for path in python_files(*SHIPPED)}
    assert rooms - readme_paths() == set()


def test_every_top_level_module_has_its_line_in_the_readme() -> None:
    modules = {shown(path) for path in python_files(*SHIPPED) if path.parent.name in SHIPPED}
    assert modules - {f"{name}/__init__.py" for name in SHIPPED} - readme_paths() == set()


def test_every_line_of_the_tree_exists() -> None:
    assert [path for path in sorted(readme_paths()) if not (REPOSITORY / path).exists()] == []
