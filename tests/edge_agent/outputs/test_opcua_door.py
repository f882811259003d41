"""Who may come in to the OPC UA server, and what strangers and guests cannot do. Real servers and clients."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.uaerrors import BadUserAccessDenied, UaError

from edge_agent.outputs.opcua import NODES
from edge_agent.outputs.opcua_server import NAMESPACE, Door, PlcServer
from tests.edge_agent.outputs.conftest import make_certificate
from tests.simulators.port import free_port

CLIENT_URI = "urn:test:plc"


@asynccontextmanager
async def serving(door: Door) -> AsyncIterator[list[Mapping[str, Any]]]:
    """A server; yields what was written to it."""
    seen: list[Mapping[str, Any]] = []

    async def written(values: Mapping[str, Any]) -> None:
        seen.append(values)

    server = PlcServer("plc", door, NODES, written)
    await server.start()
    try:
        yield seen
    finally:
        await server.stop()


def client(door: Door, *, user: str | None = None, password: str | None = None) -> Client:
    made = Client(f"opc.tcp://127.0.0.1:{door.port}/lineside", timeout=20)
    made.application_uri = CLIENT_URI
    if user is not None:
        made.set_user(user)
        made.set_password(password or "")
    return made


async def secured(made: Client, door: Door, certificate: Path, key: Path) -> Client:
    await made.set_security(
        SecurityPolicyBasic256Sha256,
        str(certificate),
        str(key),
        server_certificate=str(door.certificate_file),
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )
    return made


async def trigger(made: Client, name: str = "Trigger", value: Any = True, kind: Any = ua.VariantType.Boolean) -> None:
    async with made:
        index = await made.get_namespace_index(f"{NAMESPACE}:outputs")
        await made.get_node(f"ns={index};s=plc.{name}").write_value(ua.Variant(value, kind))


def run(door: Door, work: Callable[[list[Mapping[str, Any]]], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        async with serving(door) as seen:
            await work(seen)

    asyncio.run(all_of_it())


def test_on_loopback_a_plc_writes_its_own_variables_and_no_others() -> None:
    door = Door("127.0.0.1", free_port())

    async def work(seen: list[Mapping[str, Any]]) -> None:
        await trigger(client(door))
        assert seen == [{"Trigger": True}]
        for name, value, kind in (
            ("Result", 1, ua.VariantType.Int32),
            ("ResultReady", True, ua.VariantType.Boolean),
            ("Heartbeat", 9, ua.VariantType.UInt32),
            ("SafeAction", 0, ua.VariantType.Int32),
        ):
            with pytest.raises(UaError):
                await trigger(client(door), name, value, kind)
        with pytest.raises(UaError):
            await trigger(client(door), "Trigger", 1, ua.VariantType.Int32)
        assert seen == [{"Trigger": True}]

    run(door, work)


def test_nobody_is_an_admin_adds_nodes_or_registers_servers() -> None:
    door = Door("127.0.0.1", free_port())

    async def work(_: list[Mapping[str, Any]]) -> None:
        with pytest.raises(UaError):
            await trigger(client(door, user="admin", password=""))
        async with client(door) as made:
            index = await made.get_namespace_index(f"{NAMESPACE}:outputs")
            with pytest.raises(UaError):
                await made.nodes.objects.add_variable(index, "mine", 1)

    async def stranger(_: list[Mapping[str, Any]]) -> None:
        made = client(door)
        await made.connect_sessionless()
        with pytest.raises(UaError):
            await made.uaclient.register_server(ua.RegisteredServer(ServerNames=[ua.LocalizedText("x")]))
        await made.disconnect_sessionless()

    run(door, work)
    run(door, stranger)


def test_a_password_opens_and_a_wrong_one_or_none_does_not() -> None:
    door = Door("127.0.0.1", free_port(), user="plc", password="right")

    async def work(seen: list[Mapping[str, Any]]) -> None:
        for user, password in (("plc", "wrong"), ("plc", ""), ("other", "right"), ("admin", ""), (None, None)):
            with pytest.raises(UaError):
                await trigger(client(door, user=user, password=password))
        assert seen == []
        await trigger(client(door, user="plc", password="right"))
        assert seen == [{"Trigger": True}]

    run(door, work)


@pytest.fixture
def bold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that try it although the server offers no such endpoint."""
    monkeypatch.setattr(Client, "find_endpoint", staticmethod(lambda endpoints, mode, uri: next(iter(endpoints))))


@pytest.mark.usefixtures("bold")
def test_with_a_certificate_only_an_encrypted_channel_and_a_password_open(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "server", NAMESPACE)
    mine, my_key = make_certificate(tmp_path, "plc", CLIENT_URI)
    door = Door("127.0.0.1", free_port(), user="plc", password="right", certificate_file=certificate, key_file=key)

    async def work(seen: list[Mapping[str, Any]]) -> None:
        with pytest.raises(BadUserAccessDenied):
            await trigger(client(door, user="plc", password="right"))  # in the clear
        with pytest.raises(UaError):
            await trigger(await secured(client(door, user="plc", password="wrong"), door, mine, my_key))
        with pytest.raises(UaError):
            await trigger(await secured(client(door), door, mine, my_key))
        assert seen == []
        await trigger(await secured(client(door, user="plc", password="right"), door, mine, my_key))
        assert seen == [{"Trigger": True}]

    run(door, work)


@pytest.mark.usefixtures("bold")
def test_a_trusted_certificate_opens_and_another_does_not(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "server", NAMESPACE)
    trusted, trusted_key = make_certificate(tmp_path / "trusted", "plc", CLIENT_URI)
    other, other_key = make_certificate(tmp_path, "other", CLIENT_URI)
    door = Door(
        "127.0.0.1", free_port(), certificate_file=certificate, key_file=key, trusted_clients=tmp_path / "trusted"
    )

    async def work(seen: list[Mapping[str, Any]]) -> None:
        with pytest.raises(BadUserAccessDenied):
            await trigger(client(door))
        with pytest.raises(BadUserAccessDenied):
            await trigger(await secured(client(door), door, other, other_key))
        assert seen == []
        await trigger(await secured(client(door), door, trusted, trusted_key))
        assert seen == [{"Trigger": True}]

    run(door, work)


def test_a_huge_message_is_cut_off_and_garbage_harms_nobody() -> None:
    door = Door("127.0.0.1", free_port())

    def flood() -> int:
        """Bytes that were taken of a message that claims to be 1 GB."""
        sent = 0
        with socket.create_connection(("127.0.0.1", door.port), timeout=10) as made:
            try:
                made.sendall(b"HELF" + struct.pack("<I", 1_000_000_000))
                while sent < 50_000_000:
                    made.sendall(b"x" * 65_536)
                    sent += 65_536
            except OSError:
                return sent
        return sent

    def babble() -> None:
        for data in (
            b"",
            b"GET / HTTP/1.1\r\n\r\n",
            b"HELF\x08\0\0\0",
            b"OPNF" + b"\xff" * 60,
            b"MSGF\x20\0\0\0" + b"\0" * 24,
        ):
            with socket.create_connection(("127.0.0.1", door.port), timeout=10) as made:
                made.sendall(data)

    async def work(seen: list[Mapping[str, Any]]) -> None:
        assert await asyncio.to_thread(flood) < 20_000_000
        await asyncio.to_thread(babble)
        await trigger(client(door))
        assert seen == [{"Trigger": True}]

    run(door, work)
