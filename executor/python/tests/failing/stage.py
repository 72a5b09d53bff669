"""Stages that go wrong in every way that is left to a Python stage."""

import ctypes
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import flowc
import pyarrow as pa


@dataclass
class Config:
    do: str = "good"
    """What to do to each batch."""


def good(ids: pa.Array) -> pa.Array:
    return ids


def reject(ids: pa.Array) -> pa.Array:
    raise ValueError(f"no wish to see {ids[0]}")


def problem(ids: pa.Array) -> pa.Array:
    raise flowc.Problem("this row is not to my taste", config_path="/do", help="choose another")


def wrong_type(ids: pa.Array) -> pa.Array:
    return ids.cast(pa.float64()).cast(pa.string())


def too_short(ids: pa.Array) -> pa.Array:
    return ids[1:]


def segfault(ids: pa.Array) -> pa.Array:
    ctypes.string_at(0)
    return ids


def leave(ids: pa.Array) -> pa.Array:
    os._exit(3)


def loop(ids: pa.Array) -> pa.Array:
    while True:
        pass


def memory(ids: pa.Array) -> pa.Array:
    hoard = []
    while True:
        hoard.append(bytearray(b"x" * (16 << 20)))


def memory_of_several(ids: pa.Array) -> pa.Array:
    """Each process takes less than the stage may, and all of them more."""
    hoarder = [sys.executable, "-S", "-c", "x = bytearray(b'x' * (200 << 20)); import time; time.sleep(600)"]
    children = [subprocess.Popen(hoarder) for _ in range(5)]
    return ids[: children[0].wait()]


def forks(ids: pa.Array) -> pa.Array:
    children = []
    while True:
        children.append(subprocess.Popen(["/bin/sleep", "600"]))


def noise(ids: pa.Array) -> pa.Array:
    print("printed in Python")
    os.write(1, b"written to standard output\n")
    os.write(2, b"written to standard error\n")
    return ids


def network(ids: pa.Array) -> pa.Array:
    socket.create_connection(("127.0.0.1", 9), timeout=5)
    return ids


def read_file(ids: pa.Array) -> pa.Array:
    Path("/etc/hostname").read_text()
    return ids


def read_home(ids: pa.Array) -> pa.Array:
    print(os.listdir("/home"), os.listdir("/root"))
    return ids


def look(ids: pa.Array) -> pa.Array:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print("capabilities", int(status["CapBnd"], 16) | int(status["CapEff"], 16))
    print("no new privileges", status["NoNewPrivs"])
    print("root", "yes" if os.getuid() == 0 or os.getgid() == 0 else "no")
    print("networks", " ".join(name for _, name in socket.if_nameindex()))
    print("writable root", "yes" if os.access("/", os.W_OK) else "no")
    print("docker", "yes" if Path("/var/run/docker.sock").exists() else "no")
    return ids


def processors(ids: pa.Array) -> pa.Array:
    """How many it runs on, and how many it may think that there are."""
    print("runs on", len(os.sched_getaffinity(0)))
    print("threads", os.environ.get("OMP_NUM_THREADS"))
    print("counts", os.sysconf("SC_NPROCESSORS_ONLN"))
    return ids


def refused(ids: pa.Array) -> pa.Array:
    """What the kernel says to calls that lead out, and to some that do not."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_network, nobodys = 0x40000000, 0x21
    calls = {
        "ptrace": (libc.ptrace, 0, 0, 0, 0),
        "unshare": (libc.unshare, new_network),
        "mount": (libc.mount, b"none", b"/tmp", b"tmpfs", 0, None),
        "setns": (libc.setns, 0, 0),
        "memfd_create": (libc.memfd_create, b"name", 0),
        "mmap": (libc.mmap, None, 4096, 3, nobodys, -1, 0),
        "personality": (libc.personality, 0x0040000),
        "AF_VSOCK": (libc.socket, 40, 1, 0),
        "AF_ALG": (libc.socket, 38, 5, 0),
        "AF_PACKET": (libc.socket, 17, 3, 0),
        "AF_UNIX": (libc.socket, 1, 1, 0),
        "AF_INET": (libc.socket, 2, 1, 0),
    }
    for name, (call, *arguments) in calls.items():
        ctypes.set_errno(0)
        print(name, ctypes.get_errno() if call(*arguments) == -1 else 0)
    return ids


def write_source(ids: pa.Array) -> pa.Array:
    Path(__file__).with_name("left-behind").write_text("x")
    return ids


def scratch(ids: pa.Array) -> pa.Array:
    Path("own").write_text("text")
    assert Path("own").read_text() == "text"
    return ids


BEHAVIOURS = {name: value for name, value in list(globals().items()) if getattr(value, "__module__", "") == __name__}


@flowc.stage(reads=["id"], adds={"extra": pa.int64()})
def failing(rows: pa.RecordBatch, config: Config) -> pa.RecordBatch:
    """Does to each batch what its config says."""
    return pa.record_batch([BEHAVIOURS[config.do](rows["id"])], names=["extra"])
