"""docs/CONFIGURATION.md and podnet.yaml's keys."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from podnet.cluster.settings import _File, parse_settings
from podnet.errors import InvalidConfiguration

DOCUMENT = (Path(__file__).parents[2] / "docs/CONFIGURATION.md").read_text(encoding="utf-8")


def rows() -> dict[str, str]:
    """Return the rows of the first table, podnet.yaml's, by their key."""
    table = DOCUMENT.split("\n## ")[1]
    lines = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    return {cells[1].strip().strip("`"): "|".join(cells[2:]) for cells in lines}


def keys() -> dict[str, Any]:
    """Return podnet.yaml's keys and their types."""
    described: Any = msgspec.inspect.type_info(_File)
    return {field.encode_name: field.type for field in described.fields}


def test_every_key_is_documented() -> None:
    """The table has each key of podnet.yaml, and none that it has not."""
    assert rows().keys() == keys().keys()


def test_every_key_within_a_key_is_documented() -> None:
    """Keys of nested mappings are in their row, or in a table of the section that it points to."""
    for key, shape in keys().items():
        for field in getattr(shape, "fields", ()):
            name = field.encode_name
            assert f"{name}:" in rows()[key] or f"`{name}`" in pointed_to(rows()[key]), f"{key}.{name}"


def pointed_to(row: str) -> str:
    """Return the rows of the tables in the section to which the link in a `row` leads, "" where there is none."""
    link = re.search(r"\(#([a-z-]+)\)", row)
    sections = re.split(r"^#{2,3} ", DOCUMENT, flags=re.MULTILINE)
    found = (text for text in sections if link and slug(text.partition("\n")[0]) == link[1])
    return "\n".join(line.split("|")[1] for text in found for line in text.splitlines() if line.startswith("| "))


def slug(heading: str) -> str:
    """Return what a link to a heading says."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("key", ["datapath", "vxlan.port", "gc.grace"])
def test_a_slip_in_a_key_is_told_with_the_key_that_was_meant(key: str) -> None:
    """Of any key, nested ones too: a letter is missing, and the error names line and key."""
    *above, last = key.split(".")
    slip = last[:2] + last[3:]
    text = (f"{above[0]}:\n  " if above else "") + f"{slip}: 1\n"
    with pytest.raises(InvalidConfiguration, match=f"did you mean {last}") as error:
        parse_settings(text, "podnet.yaml", "n1")
    assert error.value.msg.startswith(f"podnet.yaml:{1 + len(above)}: {'.'.join([*above, slip])} is not known")
