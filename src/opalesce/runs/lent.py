"""Checkpoints whose tensors are read from safetensors files that are made or fetched when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from opalesce.runs.run import TensorInfo
from opalesce.runs.safetensors import CHUNK, SafetensorsCheckpoint


class Lent:
    """All that reads values, by way of `whole`; a subclass says how that comes to be, and what it is of."""

    @cached_property
    def whole(self) -> SafetensorsCheckpoint:
        """The state as safetensors files on this machine; the first use fetches or converts."""
        raise NotImplementedError

    def tensors(self) -> Mapping[str, TensorInfo]:
        """See `SafetensorsCheckpoint.tensors`."""
        return self.whole.tensors()

    def read(self, name: str, index: int | None = None) -> NDArray[np.generic]:
        """See `SafetensorsCheckpoint.read`."""
        return self.whole.read(name, index)

    def rows(self, name: str, index: NDArray[np.integer]) -> NDArray[np.generic]:
        """See `SafetensorsCheckpoint.rows`."""
        return self.whole.rows(name, index)

    def sample(self, name: str) -> NDArray[np.generic]:
        """See `SafetensorsCheckpoint.sample`."""
        return self.whole.sample(name)

    def stream(self, name: str, chunk: int = CHUNK) -> Iterator[NDArray[np.generic]]:
        """See `SafetensorsCheckpoint.stream`."""
        return self.whole.stream(name, chunk)

    def digest(self, name: str, full: bool = False) -> str:
        """See `SafetensorsCheckpoint.digest`."""
        return self.whole.digest(name, full)

    def survey(self, name: str) -> tuple[int, str]:
        """See `SafetensorsCheckpoint.survey`."""
        return self.whole.survey(name)
