"""What this machine's CNI set-up is: folders, configurations, plugins, and what each runtime is configured to use.

Belongs here: the values of the report, the rules by which libcni, containerd, cri-o, podman and kubelet read their
own configuration, and the one module that reads files (`files`).  Does not belong here: tables and colours (cli),
writing anything, talking to a runtime.  May import `errors` and the standard library, msgspec and PyYAML.

Everything but `files` is a function of a `View`; a file that is missing, unreadable or malformed is a `Finding`,
never an exception.
"""

from podnet.inspection.report import inspect
from podnet.inspection.rivals import rivals
from podnet.inspection.values import Configuration, Finding, Folder, Plugin, Report, Runtime, Setting, View

__all__ = ["Configuration", "Finding", "Folder", "Plugin", "Report", "Runtime", "Setting", "View", "inspect", "rivals"]
