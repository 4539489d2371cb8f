"""Tables that name the labels of a volume: every kind people have, as the one an atlas needs.

``read_label_table`` is the door. What a made atlas does with the rows is not known here.
"""

from __future__ import annotations

from bg_atlasapi.formats.label_tables.entries import LabelTable
from bg_atlasapi.formats.label_tables.reading import KINDS, read_label_table

__all__ = ["KINDS", "LabelTable", "read_label_table"]
