"""Installs, or names, the Debian packages that `make test` needs; a bare Python runs it.

They are the shared libraries of the window and the commands that tests call. Where they may be
installed, by root or by `sudo` without a password, it is done with apt-get, all at once. Else one
line names them: without a library nothing further is run; without a command tests are skipped.
"""

import os
import shutil
import subprocess
import sys

from sfedge.system.libraries import LIBRARIES, missing_libraries

COMMANDS = {"Xvfb": "xvfb", "ip": "iproute2", "unshare": "util-linux"}  # command: its package


def main() -> None:
    if not (missing := missing_packages()):
        return
    why = "they may not be installed from here"
    if (privilege := find_privilege()) is not None:
        print(f"installing with apt-get: {' '.join(missing)}", file=sys.stderr, flush=True)
        why = install(privilege, missing)
    if not (missing := missing_packages()):
        return
    print(f"Missing ({why}). Run: sudo apt-get install {' '.join(missing)}", file=sys.stderr)
    if not {*missing} <= {*COMMANDS.values()}:
        sys.exit(1)


def missing_packages() -> list[str]:
    """Debian packages of what is not there, sorted."""
    if not sys.platform.startswith("linux"):
        return []
    libraries = {lib.package for lib in missing_libraries({lib.user for lib in LIBRARIES})}
    commands = {package for name, package in COMMANDS.items() if not has_command(name)}
    return sorted(libraries | commands)


def find_privilege() -> list[str] | None:
    """What to put before apt-get so that it may install; None where nothing helps."""
    if not has_command("apt-get"):
        return None
    if os.geteuid() == 0:
        return []
    sudo = ["sudo", "-n"]
    if has_command("sudo") and subprocess.run([*sudo, "true"], capture_output=True).returncode == 0:
        return sudo
    return None


def has_command(name: str) -> bool:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def install(privilege: list[str], packages: list[str]) -> str:
    """Install packages; returns why it failed, in a few words."""
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    for words in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        run = subprocess.run([*privilege, *quiet, *words], capture_output=True, text=True)
        if run.returncode:
            lines = (run.stderr or run.stdout).strip().splitlines()
            return lines[-1] if lines else f"apt-get {words[0]} failed"
    return "apt-get has installed them, and they are still not found"


if __name__ == "__main__":
    main()
