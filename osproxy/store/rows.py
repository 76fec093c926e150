"""
What a row of the catalogue says of an entry, besides when it was used.
"""

from __future__ import annotations

import json
from typing import Any

from osproxy.model import Target
from osproxy.repo.kinds import Kind
from osproxy.store.index import key_of
from osproxy.store.records import Record, head_from, head_to

_COLUMNS = """
id, backend, path, kind, head, offset, length, digest, stored_at, checked_at, generation, variant,
key, verified_at, body
"""
#: Octets of the file of a row.
SIZE = "CASE WHEN body IS NULL OR body = id THEN offset + length ELSE offset END"
#: Whether a row has what rows have; SQLite would keep anything in any column.
SOUND = """
(typeof(key), typeof(offset), typeof(length)) = ('integer', 'integer', 'integer')
AND (typeof(stored_at), typeof(checked_at), typeof(verified_at)) = ('real', 'real', 'real')
AND typeof(body) IN ('integer', 'null') AND typeof(hotness) IN ('integer', 'null')
AND typeof(used) IN ('real', 'null')
AND offset >= 0 AND length >= 0 AND typeof(offset + length) = 'integer'
"""
#: Selects what `record_of` takes.
READ = """
SELECT id, backend, path, kind, head, offset, length, digest, stored_at, checked_at, generation,
    hotness, body, variant
FROM entries LEFT JOIN uses USING (id)
"""
#: Behind ``INSERT``, for what `row_of` gives.
INTO = f"INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def row_of(record: Record) -> tuple[object, ...]:
    """Give the row of an entry that was just stored, or last verified then."""
    return (
        record.id,
        record.target.backend,
        record.target.path,
        record.kind.value,
        json.dumps(head_to(record.head)),
        record.offset,
        record.length,
        record.digest,
        record.stored_at,
        record.checked_at,
        record.generation,
        record.target.variant,
        key_of(record.target),
        record.stored_at,
        record.body,
    )


def record_of(row: tuple[Any, ...]) -> Record | None:
    """Give the entry of a row, None if the row makes no sense."""
    number, backend, path, kind, head, *rest, variant = row
    try:
        target = Target(backend, path, variant)
        record = Record(number, target, Kind(kind), head_from(json.loads(head)), *rest)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return record if _is_sound(record) else None


def _is_sound(record: Record) -> bool:
    """Say whether each value is of its type: the database would keep others, too."""
    target, numbers = record.target, (record.offset, record.length)
    return (
        all(isinstance(it, str) for it in (target.backend, target.path, target.variant))
        and all(isinstance(it, int) and it >= 0 for it in numbers)
        and all(isinstance(it, float) for it in (record.stored_at, record.checked_at))
        and all(it is None or isinstance(it, int) for it in (record.hotness, record.body))
    )
