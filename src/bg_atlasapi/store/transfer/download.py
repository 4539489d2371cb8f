"""Bring one file here: in pieces, several at a time, going on where an earlier try ended.

A download is a folder of pieces, each a file that only grows. How much of a piece is here is the
length of its file, so there is no record that could disagree with the data: a process may be killed
at any moment, and another goes on from there. Two processes that work in the same folder write the
same bytes to the same places. What the pieces add up to is checked before it is used.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self

from bg_atlasapi.errors import ChecksumError, RefusedError, RemoteError
from bg_atlasapi.store import disk
from bg_atlasapi.store.transfer.checked import Checked, not_as_published
from bg_atlasapi.store.transfer.pieces import ENDLESS, STATE, State
from bg_atlasapi.store.transport import http
from bg_atlasapi.store.transport.sources import BLOCK, Listed, Reply, Source, refused_part

PIECE = 8 << 20
WORKERS = 4


class ChangedError(RefusedError):
    """The file at the remote is not the one whose pieces are here: begin again."""


class EmptiedError(ChangedError):
    """Another process cleared up the pieces: begin again."""


class _StoppedError(Exception):
    """The reader no longer wants the file; never leaves this module."""


class Download:
    """A file on its way from the network, which can be read while it arrives.

    Parameters
    ----------
    source, expected, folder, ranges, ahead
        As in ``incoming``.
    """

    def __init__(
        self,
        source: Source,
        expected: Listed,
        folder: Path,
        *,
        ranges: bool = True,
        ahead: int | None = None,
    ) -> None:
        self._ahead = ahead
        self._source, self._expected, self._folder = source, expected, folder
        self._url = source.url(expected.key)
        self._ranges = ranges
        self._news = threading.Condition()
        self._state: State | None = None
        self._have: dict[int, int] = {}
        self._todo: Iterator[int] = iter(())
        self._whole = self._stop = self._unwanted = False
        self._error: BaseException | None = None
        self._at = 0
        self._open: tuple[int, IO[bytes]] | None = None
        self._checked: Checked | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._start(self._lead)
        return self

    def __exit__(self, *_error: object) -> None:
        with self._news:
            self._stop = True
            self._news.notify_all()
        for thread in list(self._threads):
            thread.join(timeout=1)  # one that waits for a silent server ends by itself
        self._close()
        if self._unwanted:  # by then a thread may have begun another piece
            self.discard()

    @property
    def total(self) -> int:
        """Size of the file, 0 while it is not known."""
        return (self._state.size if self._state else None) or 0

    @property
    def done(self) -> int:
        """Bytes that are here."""
        with self._news:
            return sum(self._have.values())

    @property
    def has_hash(self) -> bool:
        """Whether a hash of the file is published."""
        return self._checked is not None and self._checked.has_hash

    # Reading, in the caller's thread.

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, waiting for them; empty at the end.

        Raises
        ------
        RemoteError
            If the rest does not come.
        OSError
            If it cannot be kept.
        """
        piece, offset, ready = self._await_bytes()
        if not ready:
            return b""
        try:
            file = self._piece_file(piece)
        except FileNotFoundError:
            raise self._error or self._emptied() from None
        file.seek(offset)
        data = file.read(min(size, ready))
        if not data:
            raise self._emptied()
        assert self._checked is not None
        self._checked.feed(data)
        with self._news:
            self._at += len(data)
            self._news.notify_all()
        return data

    def _await_bytes(self) -> tuple[int, int, int]:
        """Return the piece to read from, where in it, how many bytes are there; 0 at the end."""
        with self._news:
            while True:
                if self._error is not None:
                    raise self._error
                if self._state is not None:
                    piece, offset = divmod(self._at, self._state.piece)
                    ready = self._have.get(piece, 0) - offset
                    if ready > 0 or self._whole:
                        return piece, offset, max(ready, 0)
                self._news.wait(0.5)

    def _piece_file(self, piece: int) -> IO[bytes]:
        if self._open is None or self._open[0] != piece:
            self._close()
            self._open = (piece, (self._folder / str(piece)).open("rb", buffering=0))
        return self._open[1]

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def finish(self) -> tuple[int, str]:
        """Read what is left, check the whole, and return its size and SHA-256.

        Raises
        ------
        ChecksumError
            If it is not what was published. The pieces are removed: they cannot be used.
        """
        while self.read(BLOCK):
            pass
        checked = self._checked or Checked(self._url, self._expected)
        try:
            return checked.result()
        except ChecksumError:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove the pieces."""
        self._unwanted = True
        self._close()
        with contextlib.suppress(OSError):
            for piece in self._folder.iterdir():
                if piece.name != STATE:
                    piece.unlink()
            disk.remove(self._folder)  # with the state last: there are no pieces of nothing

    # Bringing, in threads.

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guarded, args=(work,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again where the file is read
            self._fail(error)

    def _lead(self) -> None:
        """Find out what is here and what is missing, then bring it together with the others."""
        if not self._resume():
            self._begin()
        with self._news:  # no list of all: there may be millions
            first = list(itertools.islice(self._todo, WORKERS if self._ahead is None else 1))
            self._todo = itertools.chain(first, self._todo)
        for _ in first[1:]:
            self._start(self._work)
        self._work()

    def _resume(self) -> bool:
        """Take up what an earlier try left, if it can be used."""
        state = State.load(self._folder)
        have: dict[int, int] = {}
        usable = state is not None and state.url == http.without_login(self._url)
        if state is not None and usable:
            with contextlib.suppress(OSError):
                have = state.here(self._folder)
            fits = all(length <= state.length(piece) for piece, length in have.items())
            whole = sum(have.values()) == state.size
            usable = fits and (whole or (state.ranges and self._ranges))
        if state is None or not usable:
            self.discard()
            self._unwanted = False
            self._folder.mkdir(parents=True, exist_ok=True)
            return False
        self._adopt(state, have)
        return True

    def _adopt(self, state: State, have: dict[int, int]) -> None:
        stated = Listed(
            self._expected.key,
            state.size if self._expected.size is None else self._expected.size,
            self._expected.sha256 or state.sha256,
            self._expected.md5 or state.md5,
        )
        with self._news:
            self._checked = Checked(self._url, stated)
            self._state, self._have = state, have
            self._todo = (p for p in state.pieces if have.get(p, 0) < state.length(p))
            self._whole = state.size is not None and sum(have.values()) >= state.size
            self._news.notify_all()

    def _begin(self) -> None:
        """Ask for the first piece; the answer tells the size, and what the server can do."""
        patience = http.Patience()
        reply: Reply | None = None
        while reply is None:
            try:
                reply = self._source.open(self._expected.key, 0, PIECE if self._ranges else None)
                if not _begins(reply):  # a part, but not the one that was asked for
                    reply.close()
                    reply = self._source.open(self._expected.key)
                    if not _begins(reply):
                        reply.close()
                        raise refused_part(self._url)
            except RemoteError as error:
                patience.spend(error, self._sleep)
        try:
            self._learn(reply)
            self._fill(0, reply)
        except RemoteError as error:  # the first piece is still to do; _work asks for its rest
            self._refuse_change(error)
            patience.spend(error, self._sleep)
        finally:
            reply.close()

    def _learn(self, reply: Reply) -> None:
        if self._stop:  # what is kept is another's by now
            raise _StoppedError
        listed, stated = reply.listed, self._expected.size
        if stated is not None and reply.size not in {None, stated}:
            raise not_as_published(self._url, "size", stated, reply.size)
        ranges = reply.ranges and reply.size is not None
        piece = PIECE if ranges else max(reply.size or ENDLESS, 1)
        size, validator = reply.size, reply.validator
        url = http.without_login(self._url)
        state = State(url, validator, size, ranges, piece, listed.sha256, listed.md5)
        # Before any piece: another process that looks now knows what they will be pieces of.
        state.save(self._folder)
        self._adopt(state, {})

    def _work(self) -> None:
        """Bring pieces until none is left to begin."""
        while (piece := self._next()) is not None:
            patience = http.Patience()
            while self._missing(piece):
                before = self._have.get(piece, 0)
                try:
                    self._bring(piece)
                except RemoteError as error:
                    self._refuse_change(error)
                    if self._have.get(piece, 0) > before:
                        patience.renew()
                    patience.spend(error, self._sleep)

    def _next(self) -> int | None:
        with self._news:
            return None if self._stop else next(self._todo, None)

    def _missing(self, piece: int) -> bool:
        if self._stop:
            raise _StoppedError
        assert self._state is not None
        return not self._whole and self._have.get(piece, 0) < self._state.length(piece)

    def _bring(self, piece: int) -> None:
        """Ask for the rest of a piece; without ranges, for everything again."""
        state = self._state
        assert state is not None
        start, stop = 0, None
        if state.ranges:
            start = piece * state.piece + self._have.get(piece, 0)
            stop = piece * state.piece + state.length(piece)
        reply = self._source.open(self._expected.key, start, stop, state.validator)
        try:
            changed = state.validator is not None and reply.validator != state.validator
            if changed or reply.size != state.size or reply.start != start:
                raise ChangedError(f"{http.without_login(self._url)} changed during the download.")
            self._fill(piece, reply)
        finally:
            reply.close()

    def _fill(self, piece: int, reply: Reply) -> None:
        """Write what a reply brings to where it belongs."""
        state = self._state
        assert state is not None
        at, longest = reply.start - piece * state.piece, state.length(piece)
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(self._folder / str(piece), flags, 0o644), "wb") as file:
            if os.fstat(file.fileno()).st_size < at:  # writing there would leave a hole of zeros
                raise self._emptied()
            file.seek(at)
            for block in reply.blocks:
                if self._stop:
                    raise _StoppedError
                if at + len(block) > longest:
                    got = f"at least {at + len(block)}"
                    raise not_as_published(self._url, "length", longest, got)
                file.write(block)
                file.flush()
                at += len(block)
                self._note(piece, at)
                self._wait_for_reader(piece * state.piece + at)
        if state.size is not None and at < longest:
            raise http.broken_off(self._url)
        with self._news:
            self._whole = state.size is None or self.done >= state.size
            self._news.notify_all()

    def _wait_for_reader(self, position: int) -> None:
        """Stay no further ahead of the reader than was asked for."""
        ahead = self._ahead
        if ahead is not None:
            with self._news:
                self._news.wait_for(lambda: self._stop or position - self._at <= ahead)

    def _note(self, piece: int, at: int) -> None:
        with self._news:
            if at > self._have.get(piece, 0):
                self._have[piece] = at
                # Here, not where the reply ends: it may break off behind the last byte.
                size = self._state.size if self._state else None
                self._whole = self._whole or sum(self._have.values()) == size
                self._news.notify_all()

    def _refuse_change(self, error: RemoteError) -> None:
        if isinstance(error, ChecksumError | ChangedError):
            self._fail(error)  # first: a reader that misses a piece then finds the reason
            self.discard()
            raise error

    def _fail(self, error: BaseException) -> None:
        with self._news:
            self._error = self._error or error
            self._news.notify_all()

    def _emptied(self) -> EmptiedError:
        return EmptiedError(f"{self._folder} was emptied by another program during a download.")

    def _sleep(self, seconds: float) -> None:
        with self._news:
            if self._news.wait_for(lambda: self._stop, seconds):
                raise _StoppedError


def _begins(reply: Reply) -> bool:
    """Say whether a reply is a file from its beginning, and how much of it is known."""
    return reply.start == 0 and (reply.size is not None or not reply.ranges)
