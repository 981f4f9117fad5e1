"""Where frames come from: `open_source` turns what the user names into a source."""

import re
from pathlib import Path
from urllib.request import url2pathname

from sfedge.core.config import Codecs
from sfedge.core.errors import SourceError
from sfedge.sources.source import MAX_PIXELS, Source, SourceInfo, shown, without_credentials

__all__ = ["MAX_PIXELS", "Source", "SourceInfo", "open_source", "without_credentials"]

STREAMS = ("rtsp", "rtsps", "rtmp", "rtmps", "udp", "tcp", "srt", "http", "https")


def open_source(
    address: str,
    *,
    start: float = 0.0,
    end: float | None = None,
    as_video: float | None = None,
    codecs: Codecs = "cpu",
) -> Source:
    """The source at an address; nothing else is ever opened.

    An address on the web is a recording where the server says how long it is, else live.

    Args:
        address: a camera's number, a stream's address, a folder of pictures, a picture or a video.
        start: seconds; earlier frames are skipped, keeping their place in the numbering.
        end: seconds; frames at this time or later are not read. None for all.
        as_video: pictures per second where a folder's are the frames of a film; None where each
            picture is a scene of its own.
        codecs: whose decoder reads a video file; the CPU's where that does not work.

    Raises:
        SourceError: it does not exist, cannot be read, or holds no picture.
        MissingExtraError: it can be read with a package that is not installed.
    """
    from sfedge.sources.animation import AnimationSource
    from sfedge.sources.camera import CameraSource
    from sfedge.sources.pictures import PictureSource
    from sfedge.sources.stills import is_animated, is_picture_file
    from sfedge.sources.stream import open_stream
    from sfedge.sources.video import VideoSource

    if address.isdecimal():
        return CameraSource(address, start=start, end=end)
    scheme, separator, rest = address.partition("://")
    scheme = scheme.lower()
    if separator and scheme in STREAMS:
        live = open_stream(address, start=start, end=end)
        return live if live is not None else VideoSource(address, start=start, end=end)
    if separator and scheme != "file":
        raise SourceError(
            f"addresses that begin with {scheme}:// are not read",
            where=without_credentials(address),
            fix=f"Known are {', '.join(f'{name}://' for name in STREAMS)} and paths of files.",
        )
    if device := re.fullmatch(r"/dev/video(\d+)", address):
        return CameraSource(device[1], start=start, end=end)
    path = Path(url2pathname(rest[rest.find("/") :]) if separator else address)
    try:
        is_folder, is_file, is_there = path.is_dir(), path.is_file(), path.exists()
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot be accessed ({error})", where=shown(address)) from error
    if not is_there or not address:  # an empty path would be the current folder
        raise SourceError(
            "there is no such file or folder",
            where=shown(address) if address.strip() else repr(address),
            fix="Check the path; a camera is named by its number, such as 0.",
        )
    if not (is_folder or is_file):
        raise SourceError(
            "it is neither a file nor a folder",
            where=shown(address),
            fix="Write a pipe into a file first; a camera is named by its number, such as 0.",
        )
    if is_folder:
        return PictureSource(path, start=start, end=end, as_video=as_video)
    if is_picture_file(path):
        if is_animated(path):
            return AnimationSource(path, start=start, end=end)
        return PictureSource(path, start=start, end=end)
    return VideoSource(str(path), start=start, end=end, codecs=codecs)
