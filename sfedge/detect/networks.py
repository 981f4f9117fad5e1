"""The detector networks: what they are, where they come from, and how they reach the cache.

mediapipe ships no networks since version 1. Google publishes them one by one, and the wheel of
mediapipe 0.10.21 carries the same bytes. From either, the files that MediaPipe's tasks open are
built here; every part and every built file is known by its sha256.
"""

import io
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sfedge.cache import FetchError, Progress, cache_folder, fetch_file, file_sha256, writing
from sfedge.detect import wheel
from sfedge.detect.metadata import with_normalisation
from sfedge.errors import DetectorError, unknown_name
