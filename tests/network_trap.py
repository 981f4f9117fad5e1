"""Runs commands in a network of their own, where every name resolves, every address answers, and
whatever is said to anything but loopback is noted.

`unshare` starts this module as a program inside the namespaces. It needs no root where the system
lets users make namespaces, and nothing in it reaches a real network.
"""

import contextlib
import ipaddress
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# Networks for documentation (RFC 5737, 3849): real programs have no business there.
_HOST, _HOST6, _MARK = "203.0.113.7", "2001:db8::7", "198.51.100.9"
_PORTS = (80, 443)
_DNS = 53
_IP_PKTINFO = 8  # Python has the name since 3.14 only
_SECONDS = 300  # for one command
_A, _AAAA = 1, 28  # DNS record types
_TCP, _UDP = 6, 17
_EVERY_PROTOCOL = 3  # ETH_P_ALL


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what of it reached the network."""

    code: int
    out: str
    err: str
    traffic: list[str]  # "asks for NAME" and "tcp ADDRESS:PORT", in order, each once


def refusal() -> str:
    """Why no network of one's own can be made here; "" where it can."""
    if sys.platform != "linux":
        return "namespaces are Linux's"
    if missing := [name for name in ("unshare", "ip") if not _which(name)]:
        return f"the command {' and '.join(missing)} is not installed"
    try:
        run_all({"nothing": [sys.executable, "-c", ""]}, environment={}, folder=Path.cwd())
    except subprocess.CalledProcessError as error:
        return f"namespaces are not permitted ({error.stderr.strip().splitlines()[-1]})"
    return ""


def run_all(
    commands: Mapping[str, Sequence[str]], *, environment: Mapping[str, str], folder: Path
) -> dict[str, Outcome]:
    """Run commands one after another in one such network.

    Args:
        commands: name: words.
        environment: all of theirs. What the system says is this user's home becomes `HOME`, too,
            unless there can be no mounts of one's own, as in a chroot.
        folder: where they start.

    Raises:
        subprocess.CalledProcessError: the network cannot be made.
    """
    # Who is root already may lack what a user namespace needs, in a container.
    unshare = [str(_which("unshare")), *(["--user", "--map-root-user"] if os.geteuid() else [])]
    has_mounts = not subprocess.run([*unshare, "--mount", "true"], capture_output=True).returncode
    mount = ["--mount"] if has_mounts else []
    job = {"commands": commands, "environment": environment, "folder": str(folder)}
    run = subprocess.run(
        [*unshare, "--net", *mount, "--fork", "--kill-child", sys.executable, __file__, *mount],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=True,
    )
    return {name: Outcome(**outcome) for name, outcome in json.loads(run.stdout).items()}


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin")


class _Trap:
    """Listens to the loopback device, to which this network sends everything."""

    def __init__(self) -> None:
        self._traffic: list[str] = []
        self._marked = threading.Event()
        self._sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self._sniffer.bind(("lo", _EVERY_PROTOCOL))
        _start(self._sniff)
        families = [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
        for family, every in families if _has_ipv6() else families[:1]:
            _start(_resolve, _open_resolver(family, every))
            for port in _PORTS:
                _start(_serve, socket.create_server((every, port), family=family))

    def take(self) -> list[str]:
        """What was seen since the last call."""
        self._marked.clear()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mark:
            mark.sendto(b"mark", (_MARK, 9))  # comes after everything that was sent before
        if not self._marked.wait(10):
            raise RuntimeError("the sniffer hears nothing")
        taken, self._traffic[:] = list(self._traffic), []
        return taken

    def _note(self, what: str) -> None:
        if what not in self._traffic:
            self._traffic.append(what)

    def _sniff(self) -> None:
        while True:
            packet, address = self._sniffer.recvfrom(1 << 16)
            if address[2] == socket.PACKET_OUTGOING:  # each comes in, too
                continue
            for said in _said(packet):
                if said == f"udp {_MARK}:9":
                    self._marked.set()
                else:
                    self._note(said)


def _start(work: Callable[..., None], *given: socket.socket) -> None:
    threading.Thread(target=work, args=given, daemon=True).start()


def _said(packet: bytes) -> Iterator[str]:
    """What a packet asks of whom, unless it stays on loopback or only answers."""
    if packet[0] >> 4 == 4:
        protocol, target, rest = packet[9], packet[16:20], packet[(packet[0] & 15) * 4 :]
    else:
        protocol, target, rest = packet[6], packet[24:40], packet[40:]
    if protocol not in (_TCP, _UDP):
        return
    address = ipaddress.ip_address(target)
    source, port = struct.unpack_from("!HH", rest)
    if protocol == _UDP and source == _DNS:  # our own answers
        return
    if protocol == _UDP and port == _DNS:  # on loopback, too: resolvers listen there
        yield f"asks for {_question(rest[8:])[0]}"
    elif address.is_loopback:
        return
    elif protocol == _UDP:
        yield f"udp {address}:{port}"
    elif rest[13] & 0x12 == 0x02:  # SYN without ACK
        yield f"tcp {address}:{port}"


def _question(message: bytes) -> tuple[str, int, int]:
    """The name, type and end of the first question of a DNS message."""
    labels, at = [], 12
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    return ".".join(labels), struct.unpack_from("!H", message, at + 1)[0], at + 5


def _open_resolver(family: socket.AddressFamily, every: str) -> socket.socket:
    resolver = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        resolver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        resolver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        resolver.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    resolver.bind((every, _DNS))
    return resolver


def _resolve(resolver: socket.socket) -> None:
    """Answer for whatever resolver is asked: what says where that was, says where from, too."""
    while True:
        question, place, _, asker = resolver.recvmsg(1 << 12, 1 << 8)
        resolver.sendmsg([_answer(question)], place, 0, asker)


def _answer(message: bytes) -> bytes:
    _, kind, end = _question(message)
    data = {
        _A: ipaddress.ip_address(_HOST).packed,
        _AAAA: ipaddress.ip_address(_HOST6).packed,
    }.get(kind)
    head = message[:2] + struct.pack("!HHHHH", 0x8180, 1, data is not None, 0, 0)
    record = b"" if data is None else struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data
    return head + message[12:end] + record


def _serve(server: socket.socket) -> None:
    """Take every connection, read what is said first, and hang up."""

    def take(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            with contextlib.suppress(OSError):
                connection.recv(1 << 12)

    while True:
        _start(take, server.accept()[0])


def _set_up_network() -> None:
    """Make every address one of ours."""
    route = ("route", "add", "local", "default", "dev", "lo")
    for words in (("link", "set", "lo", "up"), route, *([("-6", *route)] if _has_ipv6() else [])):
        subprocess.run([str(_which("ip")), *words], check=True)


def _set_up_files(home: str) -> None:
    """Make DNS the way to all names, and `home` this user's home, whoever asks."""
    files = {
        "resolv.conf": "nameserver 192.0.2.53\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",  # not systemd-resolved
        "passwd": f"root:x:0:0:root:{home}:/bin/sh\n",
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            own, place = Path(folder, name), Path("/etc", name)
            own.write_text(text)
            own.chmod(0o644)
            if place.exists():
                subprocess.run(["mount", "--bind", str(own), str(place)], check=True)


def _has_ipv6() -> bool:
    return Path("/proc/net/if_inet6").exists()  # else nothing can be sent by it


def _main() -> None:
    job = json.load(sys.stdin)
    environment = job["environment"]
    _set_up_network()
    if "--mount" in sys.argv:
        _set_up_files(environment.get("HOME", "/root"))
    trap, outcomes = _Trap(), {}
    for name, words in job["commands"].items():
        run = subprocess.run(
            words,
            cwd=job["folder"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
        outcomes[name] = asdict(Outcome(run.returncode, run.stdout, run.stderr, trap.take()))
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    _main()
