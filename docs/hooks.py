"""What MkDocs fills in from the code, so that it stands in one place: keys, choices, rooms."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from pawprint.config.compose import format_range
from pawprint.config.overrides import RECIPE
from pawprint.config.schema import CHOICES, DESCRIPTION, Config

ROOT = Path(__file__).resolve().parents[1]
_HEADING = re.compile(r"^# (.+)\n(?=\w+:)", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in place of each `<!-- generated: NAME -->` what it names."""
    makers = {"keys": keys, "choices": choices, "recipes": recipes, "rooms": rooms}
    return re.sub(
        r"^<!-- generated: (\w+) -->$", lambda mark: makers[mark[1]](), markdown, flags=re.MULTILINE
    )


def keys() -> str:
    """A table of the keys of `params.yaml` under each of its headings."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    values, of_schema, readers = yaml.safe_load(text), _fields(), _readers()
    parts = _HEADING.split(text)[1:]
    written = []
    for heading, lines in zip(parts[::2], parts[1::2], strict=True):
        rows = [
            (
                f"`{key}`",
                _says(of_schema[key]),
                _may_be(key, of_schema[key]),
                f"`{_yaml(values[key])}`",
            )
            + (", ".join(readers.get(key, ())),)
            for key in re.findall(r"^(\w+):", lines, re.MULTILINE)
        ]
        head = ("key", "what it is", "what it may be", "here", "read by")
        written.append(f"## {heading}\n\n{_table(head, rows)}")
    return "\n\n".join(written)


def choices() -> str:
    """For each choice a table of the keys inside of it, with their values in each of its files."""
    written = []
    for name, group in _fields().items():
        if not is_dataclass(group.default_factory):
            continue
        files = {p.stem: yaml.safe_load(p.read_text(encoding="utf-8")) for p in _files(name)}
        inner = [field for field in fields(group.default_factory) if field.name != "name"]
        rows = [
            (f"`{name}.{field.name}`", _says(field), _may_be("", field))
            + tuple(f"`{_yaml(v[field.name])}`" if field.name in v else "" for v in files.values())
            for field in inner
        ]
        head = ("key", "what it is", "what it may be", *(f"`{name}={file}`" for file in files))
        written.append(f"### {name}\n\n{_table(head, rows)}")
    return "\n\n".join(written)


def recipes() -> str:
    """A table of the recipes: what the first lines of each file say."""
    rows = []
    for file in _files("recipe"):
        lines = file.read_text(encoding="utf-8").splitlines()
        about = " ".join(re.match(r"#? ?(.*)", line)[1] for line in _first_paragraph(lines))
        rows.append((f"`{file.stem}`", about))
    return _table(("recipe", "what it is"), rows)


def rooms() -> str:
    """A table of the packages of the code, from above, with the first line of their docstrings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rows = []
    for layer in project["tool"]["importlinter"]["contracts"][0]["layers"]:
        for room in layer.split(" | "):
            path = ROOT / "src" / "pawprint" / room
            file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            about = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            rows.append((f"`{room}`", about.splitlines()[0].replace(" [", r" \[")))
    return _table(("room", "what it holds"), rows)


def _fields() -> dict[str, Field[Any]]:
    return {field.name: field for field in fields(Config)}


def _files(group: str) -> list[Path]:
    return sorted((ROOT / "conf" / group).glob("*.yaml"))


def _readers() -> dict[str, list[str]]:
    """The stages of `dvc.yaml` that read each key."""
    found: dict[str, list[str]] = {}
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for stage, content in stages.items():
        for key in content.get("params", ()):
            found.setdefault(key, []).append(f"`{stage}`")
    return found


def _says(field: Field[Any]) -> str:
    return str(field.metadata[DESCRIPTION])


def _may_be(key: str, field: Field[Any]) -> str:
    if key in (RECIPE, *CHOICES):
        return ", ".join(f"`{file.stem}`" for file in _files(key))
    if field.type is bool:
        return "`true`, `false`"
    return format_range(field.metadata).removesuffix(" and below inf")


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()


def _first_paragraph(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("# "):
            return
        yield line


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
