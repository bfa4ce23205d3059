"""The container runtime interface, runtime.v1.RuntimeService: the few messages and fields that podnet's tests need.

Messages are given and returned as JSON-like values with the names of the interface's api.proto.
"""

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessages

PACKAGE = "runtime.v1"
SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "bool": FieldDescriptorProto.TYPE_BOOL,
}
ID = {"pod_sandbox_id": (1, "string")}
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "PodSandboxMetadata": {
        "name": (1, "string"),
        "uid": (2, "string"),
        "namespace": (3, "string"),
        "attempt": (4, "uint32"),
    },
    "DNSConfig": {"servers": (1, "repeated string"), "searches": (2, "repeated string")},
    "PortMapping": {
        "protocol": (1, "int32"),  # an enumeration: TCP, UDP, SCTP
        "container_port": (2, "int32"),
        "host_port": (3, "int32"),
        "host_ip": (4, "string"),
    },
    "LinuxPodSandboxConfig": {"cgroup_parent": (1, "string")},
    "PodSandboxConfig": {
        "metadata": (1, "PodSandboxMetadata"),
        "hostname": (2, "string"),
        "log_directory": (3, "string"),
        "dns_config": (4, "DNSConfig"),
        "port_mappings": (5, "repeated PortMapping"),
        "labels": (6, "map"),
        "annotations": (7, "map"),
        "linux": (8, "LinuxPodSandboxConfig"),
    },
    "RunPodSandboxRequest": {"config": (1, "PodSandboxConfig"), "runtime_handler": (2, "string")},
    "RunPodSandboxResponse": ID,
    "StopPodSandboxRequest": ID,
    "StopPodSandboxResponse": {},
    "RemovePodSandboxRequest": ID,
    "RemovePodSandboxResponse": {},
    "PodSandboxStatusRequest": {**ID, "verbose": (2, "bool")},
    "PodIP": {"ip": (1, "string")},
    "PodSandboxNetworkStatus": {"ip": (1, "string"), "additional_ips": (2, "repeated PodIP")},
    "PodSandboxStatus": {
        "id": (1, "string"),
        "metadata": (2, "PodSandboxMetadata"),
        "state": (3, "int32"),
        "network": (5, "PodSandboxNetworkStatus"),
    },
    "PodSandboxStatusResponse": {"status": (1, "PodSandboxStatus"), "info": (2, "map")},
    "ListPodSandboxRequest": {},
    "PodSandbox": {"id": (1, "string"), "metadata": (2, "PodSandboxMetadata"), "state": (3, "int32")},
    "ListPodSandboxResponse": {"items": (1, "repeated PodSandbox")},
    "StatusRequest": {"verbose": (1, "bool")},
    "RuntimeCondition": {
        "type": (1, "string"),
        "status": (2, "bool"),
        "reason": (3, "string"),
        "message": (4, "string"),
    },
    "RuntimeStatus": {"conditions": (1, "repeated RuntimeCondition")},
    "StatusResponse": {"status": (1, "RuntimeStatus"), "info": (2, "map")},
}


def _described(name: str, fields: dict[str, tuple[int, str]]) -> DescriptorProto:
    """Return a message's descriptor; a map is from string to string."""
    message = DescriptorProto(name=name)
    for field, (number, written) in fields.items():
        *repeated, kind = written.split()
        label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
        made = message.field.add(name=field, number=number, label=label)
        if kind == "map":
            entry = "".join(word.capitalize() for word in field.split("_")) + "Entry"
            nested = message.nested_type.add()
            nested.CopyFrom(_described(entry, {"key": (1, "string"), "value": (2, "string")}))
            nested.options.map_entry = True
            made.label = FieldDescriptorProto.LABEL_REPEATED
            made.type_name = f".{PACKAGE}.{name}.{entry}"
        elif kind not in SCALARS:
            made.type_name = f".{PACKAGE}.{kind}"
        made.type = SCALARS.get(kind, FieldDescriptorProto.TYPE_MESSAGE)
    return message


def _classes() -> dict[str, type[Message]]:
    described = [_described(name, fields) for name, fields in MESSAGES.items()]
    file = FileDescriptorProto(name="api.proto", package=PACKAGE, syntax="proto3", message_type=described)
    return {name.removeprefix(f"{PACKAGE}."): made for name, made in GetMessages([file], DescriptorPool()).items()}


CLASSES = _classes()


class Call:
    """A call on its way."""

    def __init__(self, future: Any) -> None:
        self._future = future

    def result(self) -> Any:
        """Return the answer when it comes; raise `grpc.RpcError` where the runtime refuses, or ends."""
        return MessageToDict(
            self._future.result(), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )

    def when_done(self, tell: Callable[[], None]) -> None:
        """Have `tell` called, in a thread of its own, when there is an end to it."""
        self._future.add_done_callback(lambda _: tell())

    def failed(self) -> bool:
        """Wait for the end; tell whether there was no answer."""
        return self._future.exception() is not None


class RuntimeService:
    """A connection to a runtime's socket."""

    def __init__(self, path: str, patience: float) -> None:
        """Speak to the socket at `path`, of whoever listens there, from when it does; `patience` is for each call."""
        options = [("grpc.default_authority", "localhost"), ("grpc.enable_http_proxy", 0)]
        options += [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]
        options += [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 1 << 26)]
        self._channel = grpc.insecure_channel(f"unix:{path}", options)
        self._patience = patience

    def begin(self, method: str, **request: Any) -> Call:
        """Begin a call; `request` has the fields of METHODRequest."""
        ask = self._channel.unary_unary(
            f"/{PACKAGE}.RuntimeService/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=CLASSES[f"{method}Response"].FromString,
        )
        message = ParseDict(request, CLASSES[f"{method}Request"]())
        return Call(ask.future(message, timeout=self._patience, wait_for_ready=True))

    def call(self, method: str, **request: Any) -> Any:
        """Make a call; return the answer, or raise `grpc.RpcError`."""
        return self.begin(method, **request).result()

    def close(self) -> None:
        """End the connection, and the calls on it."""
        self._channel.close()
