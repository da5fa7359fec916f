"""A round trip with the client that openapi-python-client generates from docs/openapi.json.

What is not JSON is as docs/protocol.md has it.
"""

import json
import socket
import struct
import sys
from http import HTTPStatus

import httpx
from bangerd_client import Client
from bangerd_client.api.vm import create_vm, delete_vm, get_vm, list_vms, set_vm
from bangerd_client.models import ErrorBody, ErrorCode, Exec, Phase, Vm, VmCreate, VmCreated, VmCreateEnv, VmmChoice, VmSet, VmSetLabels, VmWork

STDIN, STDOUT, STDERR, CONTROL = 1, 2, 3, 4


def client_of(path: str) -> Client:
    return Client(
        base_url="http://bangerd",
        # Long work is to answer with its result, and not with events.
        headers={"Accept": "application/json"},
        timeout=httpx.Timeout(60),
        httpx_args={"transport": httpx.HTTPTransport(uds=path)},
    )


def frame(channel: int, payload: bytes) -> bytes:
    return struct.pack(">BI", channel, len(payload)) + payload


def run(path: str, vm: str, command: Exec, stdin: bytes) -> tuple[int, bytes, bytes]:
    """Runs a command, by the upgrade to stdio_mux_v1."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.connect(path)
        body = json.dumps(command.to_dict()).encode()
        head = (
            f"POST /v1/vms/{vm}/exec HTTP/1.1\r\nHost: bangerd\r\nConnection: upgrade\r\nUpgrade: stdio_mux_v1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        stream.sendall(head.encode() + body)
        reader = stream.makefile("rb")
        status = reader.readline()
        assert b" 101 " in status, status
        while reader.readline().strip():
            pass
        stream.sendall(frame(STDIN, stdin) + frame(STDIN, b""))
        out: dict[int, bytes] = {STDOUT: b"", STDERR: b""}
        while True:
            channel, length = struct.unpack(">BI", reader.read(5))
            payload = reader.read(length)
            if channel != CONTROL:
                out[channel] += payload
                continue
            control = json.loads(payload)
            if control["type"] == "exit":
                return control["status"]["code"], out[STDOUT], out[STDERR]
            assert control["type"] == "started", control


def main(path: str) -> None:
    client = client_of(path)
    assert list_vms.sync(client=client) == []

    missing = get_vm.sync_detailed("nobody", client=client)
    assert missing.status_code == HTTPStatus.NOT_FOUND
    assert isinstance(missing.parsed, ErrorBody) and missing.parsed.code == ErrorCode.NOT_FOUND

    variables = VmCreateEnv()
    variables["GREETING"] = "hello"
    wanted = VmCreate(name="py", image="busybox", kernel="debian", vmm=VmmChoice.FAKE, vcpus=1, memory=512 << 20, env=variables)
    created = create_vm.sync(client=client, body=wanted)
    assert isinstance(created, VmCreated), created
    assert (created.name, created.phase) == ("py", Phase.RUNNING)

    again = create_vm.sync_detailed(client=client, body=wanted)
    assert again.status_code == HTTPStatus.CONFLICT
    assert isinstance(again.parsed, ErrorBody) and again.parsed.code == ErrorCode.ALREADY_EXISTS

    labels = VmSetLabels()
    labels["of"] = "python"
    changed = set_vm.sync("py", client=client, body=VmSet(labels=labels))
    assert isinstance(changed, Vm) and changed.labels["of"] == "python"

    line = "cat; echo $GREETING >&2; exit 7"
    assert run(path, "py", Exec(argv=["sh", "-c", line]), b"a\0b" * 100_000) == (7, b"a\0b" * 100_000, b"hello\n")

    vms = list_vms.sync(client=client)
    assert isinstance(vms, list) and [vm.name for vm in vms] == ["py"]
    # The daemon keeps what runs, until it is told that this is meant.
    refused = delete_vm.sync_detailed("py", client=client)
    assert refused.status_code == HTTPStatus.CONFLICT
    assert isinstance(refused.parsed, ErrorBody) and refused.parsed.code == ErrorCode.WRONG_PHASE
    deleted = delete_vm.sync_detailed("py", client=client, force=True)
    assert deleted.status_code == HTTPStatus.OK
    assert isinstance(deleted.parsed, VmWork) and deleted.parsed.left == []
    assert list_vms.sync(client=client) == []
    print("well")


main(sys.argv[1])
