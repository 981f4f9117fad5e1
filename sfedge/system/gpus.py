"""The NVIDIA devices of this machine, asked of the driver itself."""

import ctypes
from dataclasses import dataclass
from pathlib import Path

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR (cuda.h)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device that CUDA can use."""

    name: str
    capability: str  # compute capability, such as "8.7"


def find_gpus() -> tuple[list[Gpu], str]:
    """All usable devices in CUDA's order, and why there are none ("" where there are some)."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return [], "no NVIDIA driver is installed (libcuda.so.1 is missing)"
    count = ctypes.c_int()
    status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if status:
        return [], f"the NVIDIA driver finds no usable device (CUDA error {status})"
    gpus = [_gpu(driver, index) for index in range(count.value)]
    return gpus, "" if gpus else "the NVIDIA driver finds no device"


def is_jetson() -> bool:
    """Whether this is one of NVIDIA's Jetson boards, whose libraries come with its JetPack."""
    return Path("/etc/nv_tegra_release").exists()


def driver_version() -> str:
    """The driver of NVIDIA that is loaded, such as "580.65.06"; "" where none is.

    A driver without a version, as on a Jetson, is named after its CUDA, such as "CUDA 12.6".
    """
    try:
        return Path("/sys/module/nvidia/version").read_text().strip()
    except OSError:
        version = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError:
        return ""
    return f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"


def _gpu(driver: ctypes.CDLL, index: int) -> Gpu:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}")
