"""The chart and deploy/podnet.yaml say the same: rendered here by the little of Helm's templates that it uses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm import CHART, chart

DEPLOY = Path(__file__).parents[2] / "deploy"
_ACTION = re.compile(r"{{ \.(?P<path>[A-Za-z.]+)(?P<json>(?: \| toJson)*) }}")


def rendered(namespace: str, **values: object) -> list[dict[str, Any]]:
    """Return the chart's objects with `values` over its own, as Helm would; whatever else is in braces is an error."""
    own = yaml.safe_load((CHART / "values.yaml").read_text())
    scope: dict[str, Any] = {"Values": own | values, "Release": {"Namespace": namespace}}

    def value(found: re.Match[str]) -> str:
        at: Any = scope
        for key in found["path"].split("."):
            at = at[key]
        for _ in range(found["json"].count("toJson")):
            at = json.dumps(at)
        return str(at)

    text = _ACTION.sub(value, (CHART / "templates/podnet.yaml").read_text())
    assert "{{" not in text
    return list(yaml.safe_load_all(text))


def plain(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return `objects` with podnet.yaml decoded: JSON and YAML may say the same in other letters."""
    return [
        o | {"data": {"podnet.yaml": yaml.safe_load(o["data"]["podnet.yaml"])}} if o["kind"] == "ConfigMap" else o
        for o in objects
    ]


def test_the_chart_is_the_manifest(manifest: list[dict[str, Any]]) -> None:
    """With its own values in kube-system it has the same objects."""
    assert plain(rendered("kube-system")) == plain(manifest)


def test_the_chart_is_of_this_manifest() -> None:
    """Its files are what `make chart` writes."""
    for name, content in chart((DEPLOY / "podnet.yaml").read_text()).items():
        assert (CHART / name).read_text() == content, f"{name}: run `make chart`"


def test_values_arrive() -> None:
    """Image, settings and namespace given to Helm are in the objects, whatever characters they have."""
    config = {"backend": "vxlan", "uplink": 'a"b: {{c}}'.replace("{{", "{ {")}
    objects = rendered("net", image="example.org/podnet:1", config=config)
    assert yaml.safe_load(next(o for o in objects if o["kind"] == "ConfigMap")["data"]["podnet.yaml"]) == config
    daemon_set = next(o for o in objects if o["kind"] == "DaemonSet")
    assert daemon_set["metadata"]["namespace"] == "net"
    assert daemon_set["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/podnet:1"


def test_a_manifest_written_otherwise_is_refused() -> None:
    """What the chart takes out must be found once; else the error names it."""
    text = (DEPLOY / "podnet.yaml").read_text().replace("image: localhost", "image:  localhost")
    with pytest.raises(LookupError, match="image: localhost"):
        chart(text)
