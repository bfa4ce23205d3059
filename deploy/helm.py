"""`make chart`: the Helm chart in deploy/chart, made of deploy/podnet.yaml.

The template is the manifest's text with some values taken out, and values.yaml has these, so both say the same.  Only
`.Values.…`, `.Release.Namespace` and `toJson` are used: JSON is YAML, whatever a value is.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import yaml

import podnet

HERE = Path(__file__).parent
MANIFEST, CHART = HERE / "podnet.yaml", HERE / "chart"


class Taken(NamedTuple):
    """A value that is taken out of the manifest: `text` there, `template` in its place, and its name and `value`."""

    text: str
    template: str
    name: str
    value: object


def taken(manifest: str) -> tuple[Taken, ...]:
    """Return what is taken out of `manifest`; raise `LookupError` where it has no ConfigMap or no DaemonSet."""
    documents = {document["kind"]: document for document in yaml.safe_load_all(manifest)}
    written = documents["ConfigMap"]["data"]["podnet.yaml"]
    container = documents["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]
    block = "podnet.yaml: |\n" + "".join(f"    {line}\n" for line in written.splitlines())
    image, policy = container["image"], container["imagePullPolicy"]
    requests = container["resources"]["requests"]
    wrote = ", ".join(f"{key}: {value}" for key, value in requests.items())
    return (
        Taken(f"image: {image}\n", "image: {{ .Values.image | toJson }}\n", "image", image),
        Taken(
            f"imagePullPolicy: {policy}\n",
            "imagePullPolicy: {{ .Values.imagePullPolicy | toJson }}\n",
            *("imagePullPolicy", policy),
        ),
        Taken(block, "podnet.yaml: {{ .Values.config | toJson | toJson }}\n", "config", yaml.safe_load(written)),
        Taken(f"requests: {{{wrote}}}", "requests: {{ .Values.requests | toJson }}", "requests", requests),
    )


def chart(manifest: str) -> dict[str, str]:
    """Return the chart's files; raise `LookupError` where the manifest does not have a value as one line has it."""
    template, values = manifest, {}
    for one in taken(manifest):
        if template.count(one.text) != 1:
            raise LookupError(f"{MANIFEST}: {one.text.strip()!r} is not there once; write it so")
        template = template.replace(one.text, one.template)
        values[one.name] = one.value
    template = template.replace("namespace: kube-system", "namespace: {{ .Release.Namespace }}")
    about = {
        "apiVersion": "v2",
        "name": "podnet",
        "description": "A pod network you can read",
        "type": "application",
        "version": podnet.__version__,
        "appVersion": podnet.__version__,
    }
    note = "# Made of deploy/podnet.yaml by `make chart`.\n"
    head = "# config: podnet.yaml, every key in docs/CONFIGURATION.md.\n"
    return {
        "Chart.yaml": note + yaml.safe_dump(about, sort_keys=False),
        "values.yaml": note + head + yaml.safe_dump(values, sort_keys=False),
        "templates/podnet.yaml": note + template,
    }


def main() -> int:
    """Write the chart; return the exit status."""
    for name, content in chart(MANIFEST.read_text(encoding="utf-8")).items():
        path = CHART / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
