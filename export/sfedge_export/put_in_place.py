"""A bundle made in a folder beside its place, and put there at once when it is whole."""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import MANIFEST_NAME
from sfedge.core.errors import OutputError

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever it is written


@contextmanager
def placing(out: Path) -> Iterator[Path]:
    """An empty folder to fill; a bundle of what is in it afterwards stands at `out`.

    Nothing is left there or anywhere else where the block raises, and what stood there stays.

    Args:
        out: a folder, or a zip where it ends in ".zip"; an earlier bundle there is replaced.

    Raises:
        BundleError: what was made is no whole bundle.
        OutputError: `out` is something else than a bundle, or cannot be written.
    """
    _check_target(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            folder = Path(scratch) / "bundle"
            folder.mkdir()
            yield folder
            if out.suffix == ".zip":
                packed = pack(folder, Path(scratch) / "bundle.zip")
                _verify(packed)
                packed.replace(out)
            else:
                _verify(folder)
                _move(folder, out, aside=Path(scratch) / "earlier")
    except OSError as error:
        raise OutputError(f"the bundle cannot be written ({error})", where=str(out)) from error


def _check_target(out: Path) -> None:
    """Refuse to replace what is no bundle, before anything is computed.

    Raises:
        OutputError: something else is there.
    """
    if not out.exists() or (out.suffix != ".zip" and out.is_dir() and not any(out.iterdir())):
        return
    is_bundle = (out / MANIFEST_NAME).is_file()
    if out.suffix == ".zip" and zipfile.is_zipfile(out):
        with zipfile.ZipFile(out) as archive:
            is_bundle = MANIFEST_NAME in archive.namelist()
    if not is_bundle:
        raise OutputError(
            "this is no bundle, so it is not replaced", where=str(out), fix="Choose another --out."
        )


def pack(folder: Path, target: Path) -> Path:
    """Write the folder's files as a zip: compressed, sorted, without times or owners."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _ZIP_TIME)
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.file_size = (
                    path.stat().st_size
                )  # so that zipfile knows whether it needs Zip64
                with path.open("rb") as file, archive.open(entry, "w") as packed:
                    shutil.copyfileobj(file, packed)
    return target


def _move(folder: Path, out: Path, aside: Path) -> None:
    """Put the folder at `out`; what stood there goes aside, and comes back if that fails."""
    try:
        if out.exists():
            out.replace(aside)
        folder.replace(out)
    except BaseException:
        if aside.exists() and not out.exists():
            aside.replace(out)
        raise


def _verify(path: Path) -> None:
    """Open the bundle as the runtime does, every hash included."""
    with open_bundle(path) as bundle:
        bundle.verify()
        bundle.prefix()
