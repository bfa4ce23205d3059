"""What tests of deploy/ share: the manifest, decoded."""

from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="session")
def manifest() -> list[dict[str, Any]]:
    """Give the objects of deploy/podnet.yaml."""
    return list(yaml.safe_load_all((DEPLOY / "podnet.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def pod(manifest: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the DaemonSet's pod."""
    spec: dict[str, Any] = next(d for d in manifest if d["kind"] == "DaemonSet")["spec"]["template"]["spec"]
    return spec
