"""What Python's reader of zips raises on damaged and hostile ones, besides `OSError`."""

import lzma
import struct
import zipfile
import zlib

# Any entry may claim any compression, so each one's errors count.
DAMAGED_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
