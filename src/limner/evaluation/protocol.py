"""What a number was measured with. Two numbers may be compared only where all of it is equal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from limner.errors import UserError

VERSION = 1  # raised when a measure's meaning changes


class Measured(Protocol):
    """A result that knows its protocol: the id, and what the id stands for."""

    @property
    def protocol(self) -> str: ...  # noqa: D102

    @property
    def protocol_detail(self) -> dict[str, Any]: ...  # noqa: D102


def digest(*parts: bytes | str) -> str:
    """Twelve hexadecimal digits over the parts."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little") + data)
    return found.hexdigest()[:12]


def digest_indices(indices: np.ndarray) -> str:
    """The digest of a set of picture numbers, whatever their order."""
    return digest(np.sort(np.asarray(indices, dtype="<i8")).tobytes())


def protocol_id(detail: dict[str, Any]) -> str:
    """The id of a protocol: readable in front (features, reference's part, n), a digest of all of it behind."""
    whole = json.dumps({"version": VERSION, **detail}, sort_keys=True)
    return f"{detail['features']}-{detail['split']}-n{detail['n']}-{digest(whole)}"


def require_same_protocol(a: Measured | dict[str, Any], b: Measured | dict[str, Any]) -> None:
    """Raises UserError with one line that names what differs, unless the two results may be compared."""
    (id_a, detail_a), (id_b, detail_b) = _protocol_of(a), _protocol_of(b)
    if id_a == id_b:
        return
    keys = [key for key in sorted({*detail_a, *detail_b}) if detail_a.get(key) != detail_b.get(key)]
    differ = "; ".join(f"{key} {detail_a.get(key)!r} and {detail_b.get(key)!r}" for key in keys) or f"{id_a} and {id_b}"
    raise UserError(
        f"these results were measured differently and cannot be compared: {differ}: measure both again alike"
    )


def require_one_protocol(results: Sequence[Measured | dict[str, Any]]) -> None:
    """`require_same_protocol` of the first result with each of the others."""
    for other in results[1:]:
        require_same_protocol(results[0], other)


def _protocol_of(result: Measured | dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(result, dict):
        return result["protocol"], result.get("protocol_detail", {})
    return result.protocol, result.protocol_detail
