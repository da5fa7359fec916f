#!/usr/bin/env python3
"""Make a VM with a repository in it, as `banger vm run` does and any program can: one request, with the standard library alone.

Usage: run_vm.py SOCKET REPOSITORY GUEST_PATH VM_AS_JSON

Prints the status and the JSON answer on one line each. The daemon keeps the order, secrets before the repository, and removes the VM
again if a step fails: there is nothing to clean up here.
"""

import http.client
import json
import socket
import sys


class Daemon(http.client.HTTPConnection):
    """HTTP/1.1 over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def main():
    path, repository, guest_path, vm = sys.argv[1:]
    request = json.loads(vm)
    request["secrets"] = [{"name": "TOKEN", "value": "of another client"}]
    request["workspace"] = {"path": repository, "guest_path": guest_path}
    daemon = Daemon(path)
    daemon.request("POST", "/v1/vms", json.dumps(request), {"Accept": "application/json"})
    answer = daemon.getresponse()
    print(answer.status)
    print(json.dumps(json.loads(answer.read())))
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
