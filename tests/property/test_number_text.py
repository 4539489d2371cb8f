"""Decimal text parsed by blocks is what the language itself reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg_atlasapi.formats.number_text import rows_of

DECIMAL = st.from_regex(r"-?([0-9]{1,7}(\.[0-9]{0,8})?|\.[0-9]{1,9})", fullmatch=True)
SPACES = st.sampled_from([" ", "  ", "\t"])


@given(rows=st.lists(st.tuples(DECIMAL, DECIMAL, DECIMAL), min_size=1, max_size=30), gap=SPACES)
def test_every_number_is_the_nearest_double(rows: list[tuple[str, str, str]], gap: str) -> None:
    """Bit for bit what ``float`` gives, whatever the lengths, signs and gaps."""
    block = "\n".join(gap.join(("v", *row)) for row in rows).encode()
    parsed = rows_of(block, b"v", 3)
    assert parsed is not None
    assert parsed.tolist() == [[float(word) for word in row] for row in rows]
    one_in_three = rows_of(block, b"v", 3, 3)
    assert one_in_three is not None
    assert one_in_three.ravel().tolist() == [float(row[0]) for row in rows]


@pytest.mark.parametrize(
    "line",
    [
        *("v 1 2", "v 1 2 3 4", "vn 1 2 3", "f 1 2 3", "v 1 2 x", "v 1 2 1e5", "v 1 2 nan"),
        *("v 1 2 .", "v 1 2 -", "v 1 2 1.2.3", "v 1 2 1-2", "v 1 2 --1", "v 1 2 +1", ""),
        "v 1 2 1234567890.123456",
    ],
)
def test_what_is_not_such_a_table_is_declined(line: str) -> None:
    """Other lines, exponents, signs in the middle and numbers too long to be exact answer None."""
    assert rows_of(line.encode(), b"v", 3) is None
    assert rows_of(f"v 1 2 3\n{line}\nv 4 5 6".encode(), b"v", 3) is None or line == ""
