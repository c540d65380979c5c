"""A Garage cluster for tests and benchmarks, in a temporary folder and on free ports.

    python3 tests/buckets/garage.py [--nodes N] GARAGE [COMMAND …]

With three nodes, the default, each object has three replicas, and reads and writes need two of them. With one node there is one.

COMMAND runs with the variables `PRIVATE_MEDIA_TEST_S3_…` of the first node and of an access key with the bucket `uploads`. Without it,
the script prints ports and key as a line of JSON, and reads lines from its standard input: `kill N` (SIGKILL) and `start N`, which waits
until all nodes are connected. It prints `done` after each. It ends with its input or with the command, and leaves nothing.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import time

BUCKET = "uploads"
# The region of clients that name none.
REGION = "us-east-1"
TIMEOUT = 60


def free_ports(count):
    """Returns ports below the ephemeral range, so that no client takes one while its node is killed."""
    ports = set()
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            ports.add(port)
    return list(ports)


def wait_until(condition, problem):
    end = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{problem} within {TIMEOUT} s")
        time.sleep(0.1)


class Node:
    def __init__(self, program, folder, rpc_port, s3_port):
        self.program, self.folder, self.rpc_port, self.s3_port = program, folder, rpc_port, s3_port
        self.config, self.process = folder / "garage.toml", None
        folder.mkdir()

    def configure(self, secret, replicas, peers=()):
        self.config.write_text(f"""
metadata_dir = "{self.folder}/meta"
data_dir = "{self.folder}/data"
db_engine = "sqlite"
replication_factor = {replicas}
consistency_mode = "consistent"
rpc_bind_addr = "127.0.0.1:{self.rpc_port}"
rpc_public_addr = "127.0.0.1:{self.rpc_port}"
rpc_secret = "{secret}"
bootstrap_peers = {json.dumps(list(peers))}

[s3_api]
api_bind_addr = "127.0.0.1:{self.s3_port}"
s3_region = "{REGION}"
""")
        self.config.chmod(0o600)

    def run(self, *arguments):
        command = [self.program, "--config", self.config, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"garage {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def api(self, name, request=None):
        return json.loads(self.run("json-api", name, *([json.dumps(request)] if request else [])))

    def start(self):
        with (self.folder / "log").open("ab") as log:
            command = [self.program, "--config", self.config, "server"]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.responds, f"no response of {command}")

    def responds(self):
        if self.process.poll() is not None:
            raise SystemExit(f"garage ended: {(self.folder / 'log').read_text()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", self.s3_port), 1).close()
        except OSError:
            return False
        return True

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


def connected(nodes):
    return all(node.api("GetClusterHealth")["connectedNodes"] == len(nodes) for node in nodes)


def join(node, nodes):
    """Connects a node that was started again. Before that, another kill would leave no two nodes that know each other."""
    peer = node.run("node", "id", "-q").strip()
    for other in nodes:
        if other is not node:
            # By itself, it tries again every 30 seconds.
            other.run("node", "connect", peer)
    wait_until(lambda: connected(nodes), "the nodes did not connect")


def set_up(nodes):
    secret, replicas = secrets.token_hex(32), min(len(nodes), 3)
    for node in nodes:
        node.configure(secret, replicas)
        # The first start creates the identity of the node.
        node.start()
    peers = [node.run("node", "id", "-q").strip() for node in nodes]
    first = nodes[0]
    for node, peer in zip(nodes, peers, strict=True):
        # For later starts.
        node.configure(secret, replicas, peers)
        if node is not first:
            first.run("node", "connect", peer)
    wait_until(lambda: connected(nodes), "the nodes did not connect")
    for number, peer in enumerate(peers):
        first.run("layout", "assign", peer.split("@")[0], "-z", f"zone-{number}", "-c", "100G")
    first.run("layout", "apply", "--version", "1")
    wait_until(lambda: first.api("GetClusterHealth")["status"] == "healthy", "the cluster was not healthy")
    key = first.api("CreateKey", {"name": "tests", "allow": {"createBucket": True}})
    first.run("bucket", "create", BUCKET)
    first.run("bucket", "allow", "--read", "--write", "--owner", BUCKET, "--key", key["accessKeyId"])
    return {"access_key": key["accessKeyId"], "secret_key": key["secretAccessKey"]}


def run(command, node, key):
    variables = {
        "PRIVATE_MEDIA_TEST_S3_ENDPOINT": f"http://127.0.0.1:{node.s3_port}",
        "PRIVATE_MEDIA_TEST_S3_ACCESS_KEY": key["access_key"],
        "PRIVATE_MEDIA_TEST_S3_SECRET_KEY": key["secret_key"],
    }
    return subprocess.run(command, env={**os.environ, **variables}).returncode


def obey(nodes, key):
    print(json.dumps({"ports": [node.s3_port for node in nodes], **key}), flush=True)
    for line in sys.stdin:
        command, number = line.split()
        node = nodes[int(number)]
        {"kill": Node.kill, "start": Node.start}[command](node)
        if command == "start":
            join(node, nodes)
        print("done", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("garage", type=os.path.abspath)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    count, ports = options.nodes, free_ports(2 * options.nodes)
    with tempfile.TemporaryDirectory(prefix="garage-") as folder:
        folders = [pathlib.Path(folder) / str(number) for number in range(count)]
        nodes = [Node(options.garage, *one) for one in zip(folders, ports[:count], ports[count:], strict=True)]
        try:
            key = set_up(nodes)
            return run(options.command, nodes[0], key) if options.command else obey(nodes, key)
        finally:
            for node in nodes:
                node.kill()


sys.exit(main())
