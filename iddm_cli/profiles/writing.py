"""Profiles as text: the YAML that a run saves, the JSON schema, the reference in Markdown."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from iddm_cli import durable
from iddm_cli.profiles.messages import format_bound
from iddm_cli.profiles.overrides import section_table
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.settings import Settings
from iddm_cli.profiles.strict_yaml import parse_yaml

SAVED_HEAD = """\
# Every setting of this run, the defaults written out.
# To repeat it: iddm train --profile THIS-FILE
"""


def dump_profile(profile: Profile) -> str:
    """Return a profile as YAML, every default written out; reading it gives an equal one."""
    lines = [SAVED_HEAD]
    for section, table in profile.model_dump().items():
        lines.append(f"{section}:")
        lines += [f"  {key}: {_scalar(value)}" for key, value in table.items()]
        lines.append("")
    return "\n".join(lines)


def _scalar(value: object) -> str:
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_scalar, value))}]"
    text = str(value)
    plain = all(c.isalnum() or c in "-_./" for c in text) and text.isascii() and text[0] not in "-."
    if plain and parse_yaml(text, "").data == text:
        return text
    # JSON strings are YAML strings; what JSON leaves as it is but YAML does not, is escaped.
    return json.dumps(text)


def save_profile(profile: Profile, path: Path) -> None:
    """Write a profile as YAML, every default written out."""
    durable.write_file(path, dump_profile(profile).encode())


def profile_schema() -> dict[str, Any]:
    """Return the JSON schema of a profile."""
    schema = Profile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def reference_markdown() -> str:
    """Return the reference of all settings, a table for each section, as Markdown."""
    return "\n\n".join(_section_markdown(section) for section in Profile.model_fields)


def _section_markdown(section: str) -> str:
    table = section_table(section)
    properties = table.model_json_schema()["properties"]
    rows = [
        f"| `{section}.{key}` | `{_scalar(default)}` | {_values(properties[key])} | {sentence} |"
        for key, default, sentence in _fields(table)
    ]
    head = ["| setting | default | values | what it does |", "|---|---|---|---|"]
    return "\n".join([f"**{section}**: {table.__doc__}", "", *head, *rows])


def _fields(table: type[Settings]) -> Iterator[tuple[str, object, str]]:
    for key, field in table.model_fields.items():
        yield key, field.default, field.description or ""


def _values(schema: dict[str, Any]) -> str:
    """Put a JSON schema in words."""
    if "anyOf" in schema:
        return " or ".join(_values(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(str(v) for v in schema.get("enum", [schema.get("const")]))
    names = {"integer": "whole number", "number": "number", "boolean": "true, false",
             "string": "text", "null": "null", "array": "list"}  # fmt: skip
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    words = [f"{sign} {format_bound(schema[key])}" for key, sign in bounds.items() if key in schema]
    return " ".join([names[schema["type"]], *words])
