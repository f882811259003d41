"""The few calls of NVIDIA's driver that an inference needs, through the library that every driver brings.

No package is needed beside the driver. Names and numbers are those of the CUDA driver API.
"""

from __future__ import annotations

import ctypes
import time
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

_LIBRARY = "libcuda.so.1"
_SUCCESS, _NOT_READY = 0, 600
_COMPUTE_CAPABILITY = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
_PROC = Path("/proc/driver/nvidia/version")
_POLL_SECONDS = 0.0001


class CudaError(Exception):
    """The driver is missing or refuses a call."""


class Driver:
    """The first device and its primary context. Raises CudaError where there is no driver or no device."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise CudaError(f"{_LIBRARY} is missing; install NVIDIA's driver, or give it to the container") from error
        self.call("cuInit", 0)
        self._device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(self._device), 0)
        self._context: ctypes.c_void_p | None = None

    @property
    def gpu(self) -> str:
        """Name of the device."""
        name = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", name, len(name), self._device)
        return name.value.decode(errors="replace")

    @property
    def compute_capability(self) -> str:
        """For example `8.7`."""
        return ".".join(str(self._attribute(number)) for number in _COMPUTE_CAPABILITY)

    @property
    def version(self) -> str:
        """Of the driver, with the CUDA version that it speaks."""
        number = ctypes.c_int()
        self.call("cuDriverGetVersion", ctypes.byref(number))
        told = _PROC.read_text(encoding="utf-8", errors="replace").splitlines()[:1] if _PROC.is_file() else []
        return " ".join([*told, f"CUDA {number.value // 1000}.{number.value % 1000 // 10}"])

    def enter(self) -> None:
        """Make the context the calling thread's."""
        if self._context is None:
            context = ctypes.c_void_p()
            self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
            self._context = context
        self.call("cuCtxSetCurrent", self._context)

    def call(self, name: str, *arguments: Any) -> None:
        """Raises CudaError with the driver's own words where it does not succeed."""
        code = getattr(self._library, name)(*arguments)
        if code != _SUCCESS:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(code, ctypes.byref(text))
            raise CudaError(f"{name}: {(text.value or str(code).encode()).decode(errors='replace')}")

    def done(self, stream: ctypes.c_void_p) -> bool:
        """Whether everything on the stream is."""
        code = self._library.cuStreamQuery(stream)
        if code not in (_SUCCESS, _NOT_READY):
            self.call("cuStreamSynchronize", stream)
        return bool(code == _SUCCESS)

    def _attribute(self, number: int) -> int:
        value = ctypes.c_int()
        self.call("cuDeviceGetAttribute", ctypes.byref(value), number, self._device)
        return value.value


@lru_cache(maxsize=1)
def driver() -> Driver:
    """The only one of this process. Raises CudaError."""
    return Driver()


class Buffer:
    """Memory on the device, freed with the object."""

    def __init__(self, of: Driver, size: int) -> None:
        self._driver, self.size = of, size
        self.address = ctypes.c_uint64()
        of.call("cuMemAlloc_v2", ctypes.byref(self.address), ctypes.c_size_t(size))

    def fill(self, host: int, stream: ctypes.c_void_p) -> None:
        """From `size` bytes at the address `host`, on the stream."""
        size = ctypes.c_size_t(self.size)
        self._driver.call("cuMemcpyHtoDAsync_v2", self.address, ctypes.c_void_p(host), size, stream)

    def read(self, host: int, stream: ctypes.c_void_p) -> None:
        """Into `size` bytes at the address `host`, on the stream."""
        size = ctypes.c_size_t(self.size)
        self._driver.call("cuMemcpyDtoHAsync_v2", ctypes.c_void_p(host), self.address, size, stream)

    def free(self) -> None:
        """Give it back."""
        self._driver.call("cuMemFree_v2", self.address)


class Stream:
    """A queue of work on the device."""

    def __init__(self, of: Driver) -> None:
        self._driver = of
        self.handle = ctypes.c_void_p()
        of.call("cuStreamCreate", ctypes.byref(self.handle), 0)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._driver.call("cuStreamDestroy_v2", self.handle)

    def finished(self, limit_seconds: float | None) -> bool:
        """Wait for everything on it, at most so long."""
        if limit_seconds is None:
            self._driver.call("cuStreamSynchronize", self.handle)
            return True
        deadline = time.monotonic() + limit_seconds
        while not self._driver.done(self.handle):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True
