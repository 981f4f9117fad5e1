"""Where frames come from: `open_source` turns what the user names into a source."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sfedge.core.errors import SourceError
from sfedge.sources.source import MAX_PIXELS, Source, SourceInfo, without_credentials

__all__ = ["MAX_PIXELS", "Source", "SourceInfo", "open_source", "without_credentials"]

STREAMS = ("rtsp", "rtsps", "rtmp", "rtmps", "udp", "tcp", "srt", "http", "https")
# A web address that ends like this is a recording: it is read once, whole, at any speed.
RECORDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".gif")


def open_source(address: str, *, start: float = 0.0, end: float | None = None) -> Source:
    """The source that an address stands for; nothing else is ever opened.

    Args:
        address: a camera's number, a stream's address, a folder of pictures, a picture or a video.
        start: seconds; earlier frames are passed over, keeping their place in the numbering.
        end: seconds; frames at this time or later are not read. None for all.

    Raises:
        SourceError: it does not exist, cannot be read, or holds no picture.
    """
    from sfedge.sources.camera import CameraSource
    from sfedge.sources.picture_folder import SUFFIXES, FolderSource
    from sfedge.sources.video import VideoSource

    if address.isdecimal():
        return CameraSource(address, start=start, end=end)
    scheme, separator, _ = address.partition("://")
    scheme = scheme.lower()
    if separator and scheme in STREAMS:
        if scheme in ("http", "https") and urlsplit(address).path.lower().endswith(RECORDINGS):
            return VideoSource(address, start=start, end=end)
        return CameraSource(address, start=start, end=end)
    if separator and scheme != "file":
        raise SourceError(
            f"addresses that begin with {scheme}:// are not read",
            where=without_credentials(address),
            fix=f"Known are {', '.join(f'{name}://' for name in STREAMS)} and paths of files.",
        )
    path = Path(url2pathname(urlsplit(address).path) if separator else address)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot be looked at ({error})", where=address) from error
    if not is_there:
        raise SourceError(
            "there is no such file or folder",
            where=address,
            fix="Check the path; a camera is named by its number, such as 0.",
        )
    is_picture = path.suffix.lower() in SUFFIXES and path.suffix.lower() != ".gif"  # they move
    if is_folder or is_picture:
        return FolderSource(path, start=start, end=end)
    return VideoSource(str(path), start=start, end=end)
