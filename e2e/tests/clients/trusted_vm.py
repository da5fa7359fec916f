#!/usr/bin/env python3
"""Make a VM by a repository's configuration, if its user trusts it, and wait until its checkout is prepared, with the standard library
alone. Whether there is anything to ask, what applies and when the checkout is prepared are the daemon's answers.

Usage: trusted_vm.py SOCKET REPOSITORY GUEST_PATH VM_AS_JSON yes|no

Prints what the repository asks for, the VM, and how the wait ended, as one line of JSON.
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

    def ask(self, method, path, body=None):
        self.request(method, path, body and json.dumps(body), {"Accept": "application/json"})
        answer = self.getresponse()
        value = json.loads(answer.read())
        if answer.status != 200:
            sys.exit(json.dumps(value))
        return value


def main():
    socket_path, repository, guest_path, vm, answer = sys.argv[1:]
    daemon = Daemon(socket_path)
    request = json.loads(vm)
    wishes = daemon.ask("POST", "/v1/repository/wishes", {"path": repository, "net": request.get("net")})
    configuration = {"path": wishes["root"], "digest": wishes["digest"]}
    if wishes["needs_trust"] and answer == "yes":
        daemon.ask("POST", "/v1/trust", configuration)
    if wishes["trusted"] or wishes["needs_trust"] and answer == "yes":
        request["repository"] = configuration
    request["workspace"] = {"path": repository, "guest_path": guest_path}
    request["bootstrap"] = True
    made = daemon.ask("POST", "/v1/vms", request)
    waited = daemon.ask("GET", f"/v1/vms/{made['name']}/wait?for=prepared")
    print(json.dumps({"wishes": wishes, "vm": made, "waited": waited}))


if __name__ == "__main__":
    main()
