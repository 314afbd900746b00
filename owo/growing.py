"""Tables of numbers that grow at the end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


ROWS, NUMBERS = 1000, 2**17
"""Of what is appended at once: more are kept as they came."""


class Growing:
    """A table of numbers that grows at the end, without copying long pieces until it is read."""

    def __init__(self, columns: int) -> None:
        self._pieces: list[Array] = []
        self._room = np.empty((16, columns))
        self._n = 0

    def append(self, rows: Array) -> None:
        """Add rows (n, columns)."""
        if rows.shape[1:] != self._room.shape[1:]:
            raise ValueError(f"rows have shape {rows.shape}; needed (n, {self._room.shape[1]})")
        if len(rows) > ROWS or rows.size > NUMBERS:
            self._flush()
            self._pieces.append(rows)
            return
        n = self._n + len(rows)
        if n > len(self._room):
            room = np.empty((2 * n, self._room.shape[1]))
            room[: self._n] = self._room[: self._n]
            self._room = room
        self._room[self._n : n] = rows
        self._n = n

    def __len__(self) -> int:
        """Return the number of rows."""
        return sum(map(len, self._pieces)) + self._n

    def cut(self, rows: int) -> None:
        """Go back to the first rows."""
        if rows < len(self):
            self._pieces = [self.filled[:rows]]
            self._room, self._n = np.empty((16, self._room.shape[1])), 0

    def _flush(self) -> None:
        if self._n:
            self._pieces.append(self._room[: self._n])
            self._room, self._n = np.empty((16, self._room.shape[1])), 0

    @property
    def filled(self) -> Array:
        """The rows so far, (n, columns), read-only."""
        if self._pieces:
            self._flush()
            if len(self._pieces) > 1:
                self._pieces = [np.concatenate(self._pieces)]
            view = self._pieces[0].view()
        else:
            view = self._room[: self._n]
        view.flags.writeable = False
        return view
