"""Facts about this machine, and the memory of this process."""

import platform
from contextlib import suppress
from pathlib import Path


def cpu_name() -> str:
    """The processor, as it names itself."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    with suppress(OSError):  # a Jetson names itself here
        return Path("/proc/device-tree/model").read_text().strip("\0\n")
    return platform.processor() or platform.machine()


def peak_memory() -> int | None:
    """Peak memory of this process in bytes; None where the system does not report it.

    Linux reports it for this process alone; getrusage also counts the one that started it.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
