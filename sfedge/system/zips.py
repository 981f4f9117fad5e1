"""The exceptions of Python's `zipfile` on damaged and hostile files, besides `OSError`."""

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
