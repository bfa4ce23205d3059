"""Commands as shell text with variables: a plan is made for a placeholder pod, whose values then become `$names`."""

import re
import shlex
from collections.abc import Mapping

NAMESPACE = "/placeholder/of/podnet/netns"
"""The pod's namespace in a plan that is to become shell text."""


class Variables:
    """The values of a placeholder pod and the shell variables that stand for them."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """Take the variables' names by the values they replace, whole ones only: 10.0.0.2 is not part of 10.0.0.25."""
        self._names = {value.lower(): name for value, name in names.items()} | {NAMESPACE: "netns"}
        values = sorted(map(re.escape, self._names), key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![0-9a-fA-F:.])(?:{'|'.join(values)})(?![0-9a-fA-F:]|\.[0-9])", re.IGNORECASE)

    def command(self, command: str) -> str:
        """Return `command`, a line of `explain`, with the variables in place and everything else quoted."""
        words = shlex.split(command)
        if words[:2] == ["nsenter", f"--net={NAMESPACE}"]:
            words[:2] = ["in_pod"]
        return " ".join(map(self.word, words))

    def word(self, word: str) -> str:
        """Return one word: quoted as shlex does, or in double quotes where it has variables."""
        parts: list[str] = []
        end = 0
        for match in self._pattern.finditer(word):
            parts += (_literal(word[end : match.start()]), f"${{{self._names[match[0].lower()]}}}")
            end = match.end()
        if not parts:
            return shlex.quote(word)
        text = "".join((*parts, _literal(word[end:])))
        return f'"{_unbraced(text)}"'


def _literal(text: str) -> str:
    return re.sub(r'([\\"$`])', r"\\\1", text)


def _unbraced(text: str) -> str:
    """Return `text` with braces only where the next character would belong to the name."""
    return re.sub(r"\$\{(\w+)\}(?!\w)", r"$\1", text)
