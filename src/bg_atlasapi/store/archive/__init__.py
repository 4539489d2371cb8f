"""How an archive is unpacked while it arrives, and how hostile ones are refused."""

from __future__ import annotations

from bg_atlasapi.store.archive.limits import Limits
from bg_atlasapi.store.archive.settling import EarlyFlush, settle
from bg_atlasapi.store.archive.unpacking import Member, Unpacked, unpack

__all__ = ["EarlyFlush", "Limits", "Member", "Unpacked", "settle", "unpack"]
