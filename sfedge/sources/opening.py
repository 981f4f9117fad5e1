"""Opening a container: what FFmpeg may read, and its errors in one sentence."""

import errno
import re
from pathlib import Path
from typing import Any

import av
import av.error
from av.codec.hwaccel import HWAccel

from sfedge.core.errors import SourceError
from sfedge.sources.source import escaped, shown, without_credentials

# Real containers and bare streams of one codec: a file with another name for a list of other files
# (concat, HLS, DASH, image sequences) or for a program's input (lavfi) is not opened.
_CONTAINERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "live_flv", "asf", "ogg"),
    *("mxf", "nut", "dv", "rm", "wtv", "nsv", "ivf", "swf", "bink", "smk", "roq", "amv", "gif"),
    *("h264", "hevc", "vvc", "obu", "m4v", "h261", "h263", "vc1", "dirac", "mjpeg", "av1", "apng"),
    *("yuv4mpegpipe", "pva", "ty", "gxf", "lxf", "dhav", "flic", "fli", "vivo", "mtv", "webp"),
    # so that a file with sound alone is called that
    *("mp3", "wav", "flac", "aac", "ac3", "eac3", "aiff", "w64", "caf", "amr", "au", "ape", "wv"),
)
# Further formats on the network: lists of segments, MJPEG, RTSP with its description.
_STREAMED = ("hls", "dash", "mpjpeg", "rtsp", "sdp", "rtp", "rtp_mpegts", "webvtt")
_LISTS = re.compile(rb"\s*(?:\xef\xbb\xbf)?(?:#EXTM3U|ffconcat version|<\?xml|<MPD|\[playlist\])")
_OPEN_TIMEOUT = 10.0  # seconds for the network
READ_TIMEOUT = 5.0  # the same for each packet


def is_on_network(address: str) -> bool:
    """Whether an address is of a stream or a recording on the web, not of a file."""
    return "://" in address


def open_container(
    address: str, options: dict[str, str] | None = None, device: HWAccel | None = None
) -> Any:
    """Open a video or sound file, or an address.

    Args:
        address: a path, or an address with its credentials.
        options: of the demuxer, besides the limits on what it may open.
        device: that decodes the pictures of a file; None for the CPU.

    Raises:
        SourceError: it cannot be opened or is no container.
    """
    if is_on_network(address):
        return _open_address(address, options or {})
    name, header = shown(address), _header(address)
    if _LISTS.match(header):
        raise SourceError(
            "the file is a list of other files, not a video",
            where=name,
            fix="Give one of the files that it names.",
        )
    limits = {"protocol_whitelist": "file", "format_whitelist": ",".join(_CONTAINERS)}
    try:
        # With its protocol, since "a:b.mp4" would be read as an address.
        return av.open(
            f"file:{address}",
            metadata_errors="replace",
            container_options={**limits, **(options or {})},
            hwaccel=device,
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, av.error.InvalidDataError) and header[4:8] == b"ftyp":
            what = "its index (moov atom) is missing, as in a recording that was cut off"
            fix = "Copy or record it again. Tools such as untrunc can rebuild the index."
        else:
            why = (
                "no known container" if isinstance(error, av.error.ArgumentError) else reason(error)
            )
            what = f"this is not a video that FFmpeg can read ({why})"
            fix = "Give a video such as MP4, MOV, MKV, WebM or AVI; the file may also be damaged."
        raise SourceError(what, where=name, fix=fix) from error


def reason(error: Exception) -> str:
    """FFmpeg's words for an error, without the address, which may hold a password."""
    if isinstance(error, av.error.ExitError):  # how PyAV ends what takes too long
        return "nothing came in time"
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _header(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            header = file.read(64)
    except OSError as error:
        raise SourceError(
            f"the file cannot be opened ({error.strerror})",
            where=shown(path),
            fix="Check the path and that you may read it.",
        ) from error
    if not header:
        raise SourceError("the file is empty", where=shown(path), fix="Copy or record it again.")
    return header


def _open_address(address: str, options: dict[str, str]) -> Any:
    name = without_credentials(address)
    limits = {"format_whitelist": ",".join((*_CONTAINERS, *_STREAMED)), **options}
    if address.lower().startswith(("rtsp:", "rtsps:")):
        limits["rtsp_transport"] = "tcp"  # through firewalls, and no packet is lost
    try:
        return av.open(
            escaped(address),
            metadata_errors="replace",
            container_options=limits,
            timeout=(_OPEN_TIMEOUT, READ_TIMEOUT),
        )
    except (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError) as error:
        raise SourceError(
            "the user or password is not accepted",
            where=name,
            fix="Write them before the host: rtsp://USER:PASSWORD@HOST/…",
        ) from error
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        raise _no_video(name) from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.EIO and address.lower().startswith("http"):
            raise _no_video(name) from error
        raise SourceError(
            f"the stream does not answer or sends no picture ({reason(error)})",
            where=name,
            fix="Check the address, the user and password in it, and that the camera is on.",
        ) from error


def _no_video(name: str) -> SourceError:
    return SourceError(
        "the address answers, but not with a video that FFmpeg can read",
        where=name,
        fix="Open it in a browser: it may be a page to log in at.",
    )
