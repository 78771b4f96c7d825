"""`python -m tests.dagster_project.offline MODULE ARGUMENT...`: a program with nobody to call.

It runs in a network namespace of its own that has a loopback and no route (Linux, and permission to
make one), and every attempt at anything beyond the loopback is noted, of every thread, whether it
was caught or not. The attempts are the last line of stdout.
"""

import fcntl
import ipaddress
import json
import runpy
import shutil
import socket
import struct
import subprocess
import sys

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
ATTEMPTS: list[str] = []


def is_possible() -> bool:
    """Whether this machine lets us make a network namespace."""
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode == 0
    )


def command(module: str, *arguments: str) -> list[str]:
    """What runs a module so."""
    return ["unshare", "-n", sys.executable, "-m", __name__, module, *arguments]


def attempts(stdout: str) -> list[str]:
    """What the program tried to reach."""
    return json.loads(stdout.splitlines()[-1])["attempts"]


def _raise_loopback() -> None:
    """Bring up `lo`, which a new namespace has down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, asked))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _note(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: note a name that is looked up, or an address that is called."""
    if event == "socket.getaddrinfo":
        place = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        place = arguments[1][0]
    else:
        return
    text = place.decode() if isinstance(place, bytes) else str(place or "localhost")
    if not _is_here(text):
        ATTEMPTS.append(text)


def _is_here(place: str) -> bool:
    try:
        return ipaddress.ip_address(place).is_loopback or place == "0.0.0.0"  # noqa: S104
    except ValueError:
        return place in {"localhost", socket.gethostname()}


def main(module: str, *arguments: str) -> None:
    """Run the module as a program."""
    _raise_loopback()
    sys.addaudithook(_note)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__")
    finally:
        sys.stdout.write("\n" + json.dumps({"attempts": ATTEMPTS}) + "\n")


if __name__ == "__main__":
    from tests.dagster_project import offline as itself  # what is noted there is said there

    itself.main(*sys.argv[1:])
