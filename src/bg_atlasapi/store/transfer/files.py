"""Bring many files here, several at a time, each whole or not at all.

Each file has one part file, which a later try continues. A file that is here already is taken as it
is if it is what the remote publishes: by hash where there is one, by size otherwise.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bg_atlasapi.errors import ChecksumError, RefusedError, RemoteError
from bg_atlasapi.store import disk, inventory
from bg_atlasapi.store.transfer.checked import Checked, not_as_published
from bg_atlasapi.store.transfer.download import PIECE, ChangedError
from bg_atlasapi.store.transfer.incoming import incoming as arriving
from bg_atlasapi.store.transfer.parts import PART, Part
from bg_atlasapi.store.transfer.progress import DOWNLOAD, Report, Tally
from bg_atlasapi.store.transport import http
from bg_atlasapi.store.transport.sources import BLOCK, Listed, Source, refused_part

_AT_A_TIME = 8
_LARGE = 2 * PIECE
_MOVING = ".moving"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to bring.

    Parameters
    ----------
    listed
        Which, and what is published about it.
    target
        Where to.
    here
        SHA-256 that a file which is here must have to be taken where the remote publishes no
        hash; empty if none is taken, None if its size is enough.
    """

    listed: Listed
    target: Path
    here: str | None = None


def bring(
    source: Source, wanted: Sequence[Wanted], parts: Path, report: Report, *, trust: bool = True
) -> list[tuple[str, int, str]]:
    """Bring files.

    Parameters
    ----------
    source
        Where from.
    wanted
        Which, and where to.
    parts
        Folder for what is under way.
    report
        Told of the bytes.
    trust
        Take files that are here, if they are what is published.

    Returns
    -------
    list of tuple
        Key, size and SHA-256 of each, in the order of ``wanted``.

    Raises
    ------
    RemoteError
        Of the first file that could not be had. Files that came stay.
    """
    total = sum(one.listed.size or 0 for one in wanted)
    tally = Tally(report, DOWNLOAD, total)
    parts.mkdir(parents=True, exist_ok=True)
    _take_back(parts)
    pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="bring")
    try:
        futures = [pool.submit(_one, source, one, parts, tally, trust) for one in wanted]
        _await(futures, tally)
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _await(futures: Sequence[Future[Any]], tally: Tally) -> None:
    """Report until all are done or one has failed; the caller's thread does the reporting."""
    left = set(futures)
    while left:
        done, left = wait(left, timeout=0.1, return_when=FIRST_EXCEPTION)
        tally.say()
        for future in done:
            future.result()


def _one(
    source: Source,
    one: Wanted,
    parts: Path,
    tally: Tally,
    trust: bool,  # noqa: FBT001 - passed through a pool of threads
) -> tuple[str, int, str]:
    if trust and one.listed.size is None and one.here is None and one.target.exists():
        size = source.size(one.listed.key)  # one of another size is not what is published
        one = replace(one, listed=replace(one.listed, size=size))
    listed = one.listed
    name = hashlib.sha256(f"{source.url(listed.key)} {listed}".encode()).hexdigest()[:24]
    part = parts / f"{name}{PART}"
    large = (listed.size or 0) > _LARGE
    if trust and (found := adopted(one)) is not None:
        if large:  # of a process that was killed before it had cleared up
            disk.remove(part.with_suffix(".pieces"))
        tally.add(found[0])
        return listed.key, *found
    one.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        bring_it = _in_pieces if large else _in_one
        return listed.key, *bring_it(source, one, part, tally)
    except (FileNotFoundError, ChangedError):  # another process was faster, and cleared up
        found = adopted(one)
        if found is None:
            raise
        return listed.key, *found


def _take_back(parts: Path) -> None:
    """Give what killed processes left the names under which the next try looks for it.

    Where a process writes, no other does: a part has a name of its own while it grows. Windows
    renames and removes nothing that is open, so there the system tells whether it is left.
    """
    for left in parts.glob("*~*~*~*"):
        if os.name != "nt" and not disk.maker_is_gone(left.name):
            continue
        plain = parts / left.name.partition("~")[0]
        with contextlib.suppress(OSError):
            if plain.suffix == PART and left.stat().st_size > _size(plain):
                left.replace(plain)
            else:
                left.unlink()


def _size(path: Path) -> int:
    """Return the size of a file, -1 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def adopted(one: Wanted) -> tuple[int, str] | None:
    """Return size and SHA-256 of a file that is here; None if it is not what is published."""
    try:
        size = one.target.stat().st_size
        if one.listed.size not in {None, size}:
            return None
        sha256 = inventory.sha256_of(one.target)
        if one.listed.sha256 not in {None, sha256}:
            return None
        published = one.listed.sha256 or one.listed.md5
        if not published and one.here not in {None, sha256}:
            return None
        if one.listed.md5 and not one.listed.sha256:
            with one.target.open("rb") as file:
                if hashlib.file_digest(file, "md5").hexdigest() != one.listed.md5:
                    return None
    except OSError:
        return None
    return size, sha256


def _in_pieces(source: Source, one: Wanted, part: Path, tally: Tally) -> tuple[int, str]:
    """Bring a large file over several connections."""
    own = part.with_name(disk.unique(f"{part.stem}.whole"))
    try:
        with arriving(source, one.listed, part.with_suffix(".pieces")) as file:
            with own.open("xb") as out:
                while block := file.read(BLOCK):
                    out.write(block)
                    tally.add(len(block))
            found = file.finish()
            _move(own, one.target)
            file.discard()  # not before: killed between the two, all would have to come again
        return found
    finally:
        own.unlink(missing_ok=True)


def _move(own: Path, target: Path) -> None:
    """Put a whole file in its place, also from another file system; never half of it."""
    try:
        own.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(own, target)


def _copy(own: Path, target: Path) -> None:
    """Copy a file to another file system, whole or not at all, and remove it here."""
    for left in target.parent.glob(f"{_MOVING}~*"):
        if disk.maker_is_gone(left.name):
            left.unlink(missing_ok=True)
    beside = target.with_name(disk.unique(_MOVING))
    try:
        with own.open("rb") as file, beside.open("xb") as out:
            shutil.copyfileobj(file, out, BLOCK)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    own.unlink(missing_ok=True)


def _in_one(source: Source, one: Wanted, part: Path, tally: Tally) -> tuple[int, str]:
    """Bring a small file over one connection, after what an earlier try left."""
    own = Part(part, has_hash=bool(one.listed.sha256 or one.listed.md5))
    try:
        found = _grown(source, one.listed, own, tally)
        _move(own.path, one.target)
        own.clear()
        return found
    finally:
        own.leave()


def _grown(source: Source, listed: Listed, part: Part, tally: Tally) -> tuple[int, str]:
    """Write to a part until it is the whole file, going on after breaks."""
    patience = http.Patience()
    counted = longest = 0
    while True:
        before = part.size
        longest = max(longest, before)
        try:
            at = _append(source, listed, part)
            tally.add(at - counted)
            counted = at
            return _settled(source, listed, part.path)
        except ChecksumError:
            part.forget()
            if not before:  # all of it came in this try
                raise
        except RemoteError as error:
            gone = isinstance(error, RefusedError) and error.status == 416
            if gone and before:  # it is shorter by now, or was all here
                part.forget()
                continue
            if part.size > longest:
                patience.renew()
            patience.spend(error)


def _append(source: Source, listed: Listed, part: Part) -> int:
    """Write the rest of a file behind what is here, if it is of the same version."""
    have = part.usable_size()
    if listed.size is not None and have >= listed.size > 0:
        return have
    url = source.url(listed.key)
    reply = source.open(listed.key, have, None, part.validator)
    try:
        if have and (reply.start != have or not part.is_of(reply.validator)):
            if reply.start != 0:
                reply.close()
                reply = source.open(listed.key)
            have = 0
        if reply.start != have:
            raise refused_part(url)
        if not have:
            part.begin(reply.validator)
        with part.path.open("ab") as file:
            for block in reply.blocks:
                if listed.size is not None and have + len(block) > listed.size:
                    raise not_as_published(url, "size", listed.size, "more")
                have += file.write(block)
                file.flush()
    finally:
        reply.close()
    if reply.size is not None and have < reply.size:
        raise http.broken_off(url)
    return have


def _settled(source: Source, listed: Listed, path: Path) -> tuple[int, str]:
    """Check a whole file."""
    checked = Checked(source.url(listed.key), listed)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            checked.feed(block)
    return checked.result()


def missing_bytes(wanted: Iterable[Wanted]) -> int:
    """Return how many bytes are still to come, going by sizes."""
    total = 0
    for one in wanted:
        with contextlib.suppress(OSError):
            if one.listed.size == one.target.stat().st_size:
                continue
        total += one.listed.size or 0
    return total
