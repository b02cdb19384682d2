"""The part of a map that is shown, as rows and columns and as a link writes it. No streamlit."""

from __future__ import annotations

from core.errors import InputError

Window = tuple[int, int, int, int]  # first row, row after the last, first column, column after the last


def read_window(text: str) -> Window:
    """Places of a map such as ``0-40,10-50`` (last ones included); InputError for anything else."""
    try:
        rows, columns = (tuple(int(n) for n in part.split("-")) for part in text.split(","))
        (r0, r1), (c0, c1) = rows, columns
    except ValueError:
        raise InputError(f"{text[:30]!r} is no part of a map such as 0-40,10-50") from None
    if not (0 <= r0 <= r1 and 0 <= c0 <= c1):
        raise InputError(f"{text[:30]!r} is no part of a map: places count up from 0")
    return r0, r1 + 1, c0, c1 + 1


def write_window(window: Window) -> str:
    return f"{window[0]}-{window[1] - 1},{window[2]}-{window[3] - 1}"


def window_of(text: str, n: int) -> Window:
    """The part of a map of ``n`` features that a link names; all of it where it names none, or one beyond its end."""
    if not text:
        return 0, n, 0, n
    r0, r1, c0, c1 = read_window(text)
    return (r0, min(r1, n), c0, min(c1, n)) if r0 < n and c0 < n else (0, n, 0, n)


def around(place: tuple[int, int], window: Window, n: int) -> Window:
    """A quarter of a window, around a cell of it, moved inside the map."""
    out: list[int] = []
    for at, first, end in ((place[0], *window[:2]), (place[1], *window[2:])):
        side = min(n, max(8, (end - first) // 4))
        start = min(max(0, at - side // 2), n - side)
        out += [start, start + side]
    return out[0], out[1], out[2], out[3]
