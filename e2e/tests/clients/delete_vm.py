#!/usr/bin/env python3
"""Delete a VM of banger's, as any program can: HTTP over the daemon's Unix socket, with the standard library alone.

Usage: delete_vm.py SOCKET VM [--force]

Prints the status and the JSON answer on one line each. Exits with 0 when the VM was deleted, with 4 when the daemon refused. The
daemon protects the user's work, not its client: without --force, a VM that runs, or that has work which was not brought back, is kept.
"""

import argparse
import http.client
import json
import socket
import sys
from urllib.parse import quote, urlencode


class Daemon(http.client.HTTPConnection):
    """HTTP/1.1 over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def call(self, method, path):
        """One request; its status and its JSON answer."""
        self.request(method, path, headers={"Accept": "application/json"})
        answer = self.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body else None


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("socket")
    arguments.add_argument("vm")
    arguments.add_argument("--force", action="store_true")
    args = arguments.parse_args()

    daemon = Daemon(args.socket)
    path = "/v1/vms/" + quote(args.vm, safe="")
    if args.force:
        path += "?" + urlencode({"force": "true"})
    status, answer = daemon.call("DELETE", path)
    print(status)
    print(json.dumps(answer))
    if status == 409:
        for hint in answer.get("hints", []):
            print("hint:", hint, file=sys.stderr)
        return 4
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
