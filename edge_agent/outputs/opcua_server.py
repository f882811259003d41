"""The OPC UA server that a PLC talks to: its nodes, who may come in, and how much one may send before."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.callback import CallbackType
from asyncua.common.connection import TransportLimits
from asyncua.crypto import uacrypto
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.server import Server
from asyncua.ua.uaerrors import BadServiceUnsupported
from cryptography.hazmat.primitives.serialization import Encoding

NAMESPACE = "urn:lineside:agent"
_CONNECTIONS = 16
_ACTIVATION_SECONDS = 10.0  # between connecting and showing who one is
_CHUNK_BYTES, _MESSAGE_BYTES = 65_535, 4 * 65_535
_CERTIFICATES = frozenset({".pem", ".der", ".crt", ".cer"})
_SECURE = [
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]

Written = Callable[[Mapping[str, Any]], Any]
"""Awaited with the values, by node name, that a PLC has just written in one request."""


@dataclass(frozen=True)
class Node:
    """One variable: its type, its first value, and whether the PLC writes it."""

    kind: ua.VariantType
    first: Any
    written_by_plc: bool = False


@dataclass(frozen=True)
class Door:
    """Where the server listens and who may come in: a user, trusted certificates, or on loopback everybody."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    trusted_clients: Path | None = None


class PlcServer:
    """Serves `nodes` as `Objects/Lineside/{name}/{node}`. `start` raises OSError, ValueError or UaError."""

    def __init__(self, name: str, door: Door, nodes: Mapping[str, Node], written: Written) -> None:
        self._name, self._door, self._nodes, self._written = name, door, nodes, written
        self._server: _BoundedServer | None = None
        self._ids: dict[str, ua.NodeId] = {}

    async def start(self) -> None:
        """Listen."""
        door = self._door
        _try_to_bind(door.host, door.port)  # building a server takes seconds
        guard = await _Guard.of(door)
        server = _BoundedServer(user_manager=guard)  # type: ignore[arg-type]  # a protocol by its one method
        await server.init()
        server.set_endpoint(f"opc.tcp://{door.host}:{door.port}/lineside")
        server.set_server_name("Lineside agent")
        server.allow_remote_admin(False)
        await server.set_application_uri(NAMESPACE)
        server.limits = TransportLimits(
            max_recv_buffer=_CHUNK_BYTES,
            max_send_buffer=_CHUNK_BYTES,
            max_chunk_count=_MESSAGE_BYTES // _CHUNK_BYTES,
            max_message_size=_MESSAGE_BYTES,
        )
        server.iserver.max_connections = _CONNECTIONS
        server.iserver.max_pending_activation_seconds = _ACTIVATION_SECONDS
        server.iserver.register_server = _no_registration  # type: ignore[assignment]
        server.set_identity_tokens(guard.tokens)
        if door.certificate_file is None or door.key_file is None:
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        else:
            certificate, key = door.certificate_file.read_bytes(), door.key_file.read_bytes()
            await server.load_certificate(certificate, _format(certificate))
            await server.load_private_key(key, format=_format(key))
            server.set_security_policy(_SECURE)
        await self._add_nodes(server)
        server.iserver.subscribe_server_callback(CallbackType.PostWrite, self._when_written)  # type: ignore[arg-type]
        await server.start()
        self._server = server

    async def write(self, name: str, value: Any) -> None:
        """Set one node."""
        if self._server is None:
            raise RuntimeError("the OPC UA server has not been started")
        data = ua.DataValue(ua.Variant(value, self._nodes[name].kind))
        await self._server.iserver.write_attribute_value(self._ids[name], data)

    async def stop(self) -> None:
        """Close all connections."""
        if self._server is not None:
            await self._server.stop()

    async def _add_nodes(self, server: Server) -> None:
        index = await server.register_namespace(f"{NAMESPACE}:outputs")
        lineside = await server.nodes.objects.add_folder(_id("Lineside", index), _name("Lineside", index))
        plc = await lineside.add_object(_id(self._name, index), _name(self._name, index))
        for name, node in self._nodes.items():
            node_id = _id(f"{self._name}.{name}", index)
            first = ua.Variant(node.first, node.kind)
            variable = await plc.add_variable(
                node_id, _name(name, index), first, datatype=ua.NodeId(ua.Int32(node.kind.value))
            )
            if node.written_by_plc:
                await variable.set_writable()
            self._ids[name] = node_id

    async def _when_written(self, event: Any, _: Any) -> None:
        """Whatever a PLC wrote into its own nodes; what was refused does not count."""
        if not event.is_external:
            return
        names = {node_id: name for name, node_id in self._ids.items()}
        values = {
            names[item.NodeId]: None if item.Value.Value is None else item.Value.Value.Value
            for item, status in zip(event.request_params.NodesToWrite, event.response_params, strict=True)
            if item.NodeId in names and status.is_good()
        }
        if values:
            await self._written(values)


class _Guard:
    """Who may come in; asked by asyncua for each session. Everybody who may is an ordinary user, nobody an admin."""

    def __init__(self, door: Door, trusted: frozenset[bytes]) -> None:
        self._door, self._trusted = door, trusted
        self._encrypted = door.certificate_file is not None
        self._open = door.user is None and door.trusted_clients is None

    @classmethod
    async def of(cls, door: Door) -> _Guard:
        """With the certificates that lie in the folder now."""
        files = [] if door.trusted_clients is None else sorted(door.trusted_clients.iterdir())
        data = [file.read_bytes() for file in files if file.suffix in _CERTIFICATES]
        certificates = [await uacrypto.load_certificate(one, _format(one)) for one in data]
        return cls(door, frozenset(certificate.public_bytes(Encoding.DER) for certificate in certificates))

    @property
    def tokens(self) -> list[type]:
        """How one may say who one is."""
        tokens: list[type] = []
        if self._door.user is not None:
            tokens.append(ua.UserNameIdentityToken)
        if self._open or self._door.trusted_clients is not None:
            tokens.append(ua.AnonymousIdentityToken)
        return tokens

    def get_user(
        self, _server: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """The user, or None for a stranger. `certificate` is that of the channel, empty where it is not encrypted."""
        if self._encrypted and not certificate:
            return None
        if username is not None:
            return User(UserRole.User, username) if self._knows(username, password) else None
        return User(UserRole.User) if self._open or certificate in self._trusted else None

    def _knows(self, username: str, password: str | None) -> bool:
        if self._door.user is None or self._door.password is None:
            return False
        right_password = secrets.compare_digest((password or "").encode(), self._door.password.encode())
        return secrets.compare_digest(username.encode(), self._door.user.encode()) and right_password


class _BoundedServer(Server):
    """asyncua's server, but a connection cannot make it keep more than one message."""

    async def start(self) -> None:
        """As asyncua does it, with bounded connections."""
        await self._setup_server_nodes()
        await self.iserver.start()
        host, port = self._get_bind_socket_info()
        self.bserver = _BoundedBinaryServer(self.iserver, str(host), int(port or 0), self.limits)
        self.bserver.set_policies(self._policies)
        try:
            await self.bserver.start()
        except OSError:
            await self.iserver.stop()
            raise


class _BoundedBinaryServer(BinaryServer):
    def _make_protocol(self) -> OPCUAProtocol:
        return _BoundedProtocol(self.iserver, self._policies, self.clients, self.closing_tasks, self.limits)


class _BoundedProtocol(OPCUAProtocol):
    def data_received(self, data: bytes) -> None:
        """Nobody may announce a huge message and send it for ever."""
        if len(self._buffer) + len(data) > _MESSAGE_BYTES + _CHUNK_BYTES:
            if self.transport is not None:
                self.transport.abort()
            return
        super().data_received(data)


def _no_registration(*_: Any) -> None:
    """This is no discovery server; asyncua lets strangers ask."""
    raise BadServiceUnsupported


def _format(data: bytes) -> str:
    """What a file is, whatever it is called."""
    return "pem" if data.lstrip().startswith(b"-----BEGIN") else "der"


def _try_to_bind(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _id(identifier: str, namespace: int) -> ua.NodeId:
    return ua.NodeId(ua.String(identifier), ua.Int16(namespace))


def _name(name: str, namespace: int) -> ua.QualifiedName:
    return ua.QualifiedName(name, namespace)
