"""Chain: a list of rules; a base chain is called by the kernel, a regular one by jumps."""

from typing import Literal

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.message import Request
from podnet.nft import userdata
from podnet.nft.message import (
    DELCHAIN,
    DELRULE,
    DESTROYCHAIN,
    FAMILY_NAMES,
    NEWCHAIN,
    ChainMessage,
    HookMessage,
    RuleMessage,
)
from podnet.nft.table import CREATION, Table, table_of

HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4, "ingress": 5}
NETDEV_HOOKS = {"ingress": 0, "egress": 1}
POLICIES = {"drop": 0, "accept": 1}
PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}

Verb = Literal["add", "create", "delete", "destroy", "flush"]


class Base(msgspec.Struct, frozen=True, order=True, gc=False):
    """What makes a chain a base chain: its `type`, where and when it is called, and what becomes of the rest.

    `type` is ``filter``, ``nat`` or ``route``; `priority` a number (:data:`PRIORITIES` has nft's names for the ip
    families); `device` is needed by the netdev family's hooks only.
    """

    type: str
    hook: str
    priority: int
    policy: str = "accept"
    device: str = ""


class Chain(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """A chain of `table`; regular without a `base`."""

    table: Table
    name: str
    base: Base | None = None
    comment: str = ""

    def requests(self, verb: Verb = "add") -> tuple[Request, ...]:
        """Return the messages; ``flush`` deletes the chain's rules."""
        family, table = self.table.number, self.table.name
        if verb == "flush":
            return (Request(DELRULE, 0, RuleMessage(family=family, table=table, chain=self.name).encode()),)
        if verb not in CREATION:
            number = DESTROYCHAIN if verb == "destroy" else DELCHAIN
            return (Request(number, 0, ChainMessage(family=family, table=table, name=self.name).encode()),)
        base = self.base
        message = ChainMessage(
            family=family,
            table=table,
            name=self.name,
            hook=None if base is None else self._hook(base),
            policy=None if base is None else POLICIES[base.policy],
            type=None if base is None else base.type,
            userdata=userdata.encode([(userdata.COMMENT, userdata.comment(self.comment))]) if self.comment else None,
        )
        return (Request(NEWCHAIN, CREATION[verb], message.encode()),)

    def _hook(self, base: Base) -> HookMessage:
        hooks = NETDEV_HOOKS if self.table.family == "netdev" else HOOKS
        if base.hook not in hooks:
            raise ValueError(f"chain {self}: hook {base.hook!r} is none of {', '.join(hooks)}")
        return HookMessage(number=hooks[base.hook], priority=base.priority, device=base.device or None)

    def nft(self, verb: Verb = "add") -> str:
        """Return the nft command."""
        command = f"{verb} chain {self}"
        base = self.base
        if verb not in CREATION or (base is None and not self.comment):
            return command
        words = []
        if base is not None:
            device = f' device "{base.device}"' if base.device else ""
            words.append(f"type {base.type} hook {base.hook}{device} priority {base.priority}; policy {base.policy};")
        if self.comment:
            words.append(f'comment "{self.comment}";')
        return f"{command} {{ {' '.join(words)} }}"

    @classmethod
    def of(cls, message: ChainMessage) -> "Chain":
        """Return the chain that the kernel's `message` tells of."""
        table = table_of(message.family, message.table)
        return cls(table, message.name or "", _base_of(message), userdata.comment_of(message.userdata))

    def __str__(self) -> str:
        return f"{self.table} {self.name}"


def _base_of(message: ChainMessage) -> Base | None:
    hook = message.hook
    if hook is None or hook.number is None:
        return None
    hooks = NETDEV_HOOKS if FAMILY_NAMES.get(message.family) == "netdev" else HOOKS
    name = next((name for name, number in hooks.items() if number == hook.number), None)
    if name is None:
        raise DecodeError(f"chain {message.name}: hook {hook.number} is unknown")
    device = hook.device or ",".join(hook.devices or ())
    policy = "drop" if message.policy == POLICIES["drop"] else "accept"
    return Base(message.type or "", name, hook.priority or 0, policy, device)
