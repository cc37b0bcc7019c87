"""Reports by the million: Arrow reads the lines that hold nothing but plain numbers, many times quicker than we can.

It takes all of the lines or none. Any doubt, such as damage or an older schema, is left to the reader of single lines,
who knows what to say about it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.json as pj

from analysis.records import VERSION

_TEXT = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("kind", _TEXT),  # report or note
        ("trial", _TEXT),
        ("attempt", pa.int32()),
        ("step", pa.int64()),  # -1 for notes
        ("time", pa.float64()),
        ("name", _TEXT),  # of the metric or the note
        ("number", pa.float64()),  # value of the metric
        ("text", pa.string()),  # value of the note, as JSON
    ]
)
_HEAD = pa.schema(
    [
        ("v", pa.int64()),
        ("kind", pa.string()),
        ("trial", pa.string()),
        *(SCHEMA.field(name) for name in ("attempt", "step", "time")),
    ]
)
_HOW = {
    "read_options": pj.ReadOptions(block_size=1 << 22),
    "parse_options": pj.ParseOptions(explicit_schema=_HEAD),
}


_ODD = (b'"kind":"note"', b'"NaN"', b'Infinity"')  # JSON cannot hold such numbers, so they are texts


def parted(data: bytes) -> tuple[bytes, list[bytes]]:
    """The lines without any mark of notes and of numbers that JSON cannot hold, in one piece; and the other lines."""
    pieces, odd, end = [], [], 0
    for start in sorted({data.rfind(b"\n", 0, place) + 1 for mark in _ODD for place in _places(data, mark)}):
        pieces.append(data[end:start])
        end = data.index(b"\n", start) + 1
        odd.append(data[start:end])
    return b"".join([*pieces, data[end:]]), odd


def _places(data: bytes, mark: bytes) -> Iterator[int]:
    place = data.find(mark)
    while place >= 0:
        yield place
        place = data.find(mark, place + 1)


def read_plain(data: bytes) -> pa.Table | None:
    """One row per number, of ``SCHEMA``; or None if the lines are not all reports of numbers in the present schema."""
    if not data:
        return SCHEMA.empty_table()
    try:
        if not data.isascii():
            data.decode()  # Arrow would take names that are no text
        read = pj.read_json(pa.BufferReader(data), **_HOW)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    if not _is_whole(read, data.count(b"\n")):
        return None
    coded = read.set_column(read.column_names.index("trial"), "trial", read["trial"].dictionary_encode())
    return pa.concat_tables([SCHEMA.empty_table(), *(_of_metric(coded, field.name) for field in read["metrics"].type)])


def _is_whole(read: pa.Table, lines: int) -> bool:
    if (
        len(read) != lines
        or "metrics" not in read.column_names
        or any(read[name].null_count for name in (*_HEAD.names, "metrics"))
    ):
        return False
    kind = read["metrics"].type
    numeric = pa.types.is_struct(kind) and all(pa.types.is_integer(f.type) or pa.types.is_float64(f.type) for f in kind)
    return numeric and read["v"].unique().to_pylist() == [VERSION] and read["kind"].unique().to_pylist() == ["report"]


def _of_metric(read: pa.Table, metric: str) -> pa.Table:
    """The rows of one metric. A report without it has no row."""
    metrics = read["metrics"]
    numbers = pa.chunked_array([chunk.field(metric) for chunk in metrics.chunks], metrics.type.field(metric).type)
    rows = read.append_column("number", numbers.cast(pa.float64())).filter(numbers.is_valid())
    fixed = {"kind": "report", "name": metric, "text": None}
    columns = [
        pa.repeat(pa.scalar(fixed[f.name], pa.string()), len(rows)).cast(f.type) if f.name in fixed else rows[f.name]
        for f in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)
