"""Kill -9 at random moments: what is there is whole, and what came is not fetched again.

Each chain works in a folder of its own: start, kill, look, start again, until it is done; then from
the beginning. Bytes are counted by the server. It sends in blocks of 20 ms, so a kill finds a block
of each connection on its way, and the server counts one more before it notices.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bg_atlasapi.store import cache, limbo, pruning, verification
from bg_atlasapi.store.lifecycle import Library
from bg_atlasapi.testing.server import Server
from bg_atlasapi.update_atlases import install_atlas, remove_atlas

NAME = "noise_mouse_100um"
KILLS = int(os.environ.get("TEST_KILLS", "48"))
CHAINS = 6
RATE = 500_000  # bytes a second and connection
PIECE = 1 << 17
LATE_S = 0.1
PLANNING = 10_000  # the manifest and the like, read at each try
LONGEST_S = 0.8
MOST_TRIES = 8  # of one update; then it may end
IN_FLIGHT = 8 * (1 << 16)  # connections; what waits in sockets while a busy machine runs others

SMALL_PIECES = """
from bg_atlasapi.store.transfer import download, files
download.PIECE, files._LARGE = piece, 2 * piece
"""
INSTALL = """
from bg_atlasapi.update_atlases import install_atlas
answer = install_atlas(name, brainglobe_dir=layer, remotes=remote).version_text
"""
UPDATE = """
from bg_atlasapi.update_atlases import update_atlas
answer = update_atlas(name, force, brainglobe_dir=layer, remotes=remote).after.version_text
"""


@dataclass(frozen=True)
class Kill:
    """What one kill cost, in bytes of the atlas's files as they are sent."""

    sent_before: int  # since the work began, in all its tries, with what is lost below
    sent_this_try: int
    lost: int  # sent in this try until the process was gone, and not kept
    late: int  # sent after that: the server learns of it with the next block


@dataclass
class Chain:
    """One folder of atlases, a server for it, and what happened."""

    layer: Path
    server: Server
    workers: object
    making: object
    layout: str
    expected: dict  # version: files, hashed
    size: int
    kills: list = field(default_factory=list)
    between: list = field(default_factory=list)  # versions that were there after a kill
    done: int = 0
    sent_in_all: int = 0
    error: BaseException | None = None

    def sent(self) -> int:
        """Return the bytes of the atlas's files that were sent since the log was cleared."""
        own = (".conf", "inventory.json")
        return sum(one.sent for one in self.server.log() if not one.path.endswith(own))

    def kept(self, version) -> int:
        """Return the bytes of a version, as they are sent, that need not be sent again."""
        if version in [atlas.version_text for atlas in self.installed()]:
            return self.size
        parts = (self.layer / ".bg_atlasapi" / "downloads").rglob("*")
        kept = [one for one in parts if one.suffix not in {".json", ".whole"}]
        kept = [one for one in kept if ".whole~" not in one.name]
        if self.layout == "components":
            store = self.layer / self.making.STORE
            others = {key for one in self.expected if one != version for key in self.expected[one]}
            keys = self.expected[version].keys() - others
            kept += [store / key for key in keys if (store / key).is_file()]
            if any(path.stat().st_size > 2 * PIECE for path in kept if store in path.parents):
                kept = [one for one in kept if one.parent.suffix != ".pieces"]  # whole by now
        return sum(one.stat().st_size for one in kept if one.is_file())

    def installed(self) -> list:
        """Return the atlases in the folder."""
        return [atlas for atlas in cache.installed([self.layer]) if atlas.layer == self.layer]

    def whole(self) -> list[str]:
        """Return the versions in the folder, after proving that each is what was published."""
        found = self.installed()
        for atlas in found:
            verified = verification.verify(Library([self.layer], remotes=[]), atlas)
            assert verified.damaged == (), f"{atlas} is half: {verified.damaged}"
            wanted = self.expected[atlas.version_text]
            packages = self.layout == "packages"
            here = self.making.hashes(atlas.path if packages else self.layer / self.making.STORE)
            assert packages or wanted.items() <= here.items()
            assert not packages or wanted == here
        return [atlas.version_text for atlas in found]

    def run_and_kill(self, code, after, version, **given) -> bool:
        """Run code and kill it after a while; return whether it ended before."""
        kept, sent = self.kept(version), self.sent()
        given |= {"name": NAME, "layer": str(self.layer), "remote": self.server.url}
        given |= {"piece": PIECE}
        job = {"code": SMALL_PIECES + code, "given": given, "kill_after": after}
        (ended,) = self.workers.run(job)
        assert ended["error"] is None, ended["error"]
        if not ended["killed"]:
            return True
        now = self.sent()
        gained = self.kept(version) - kept
        time.sleep(LATE_S)
        lost = max(0, now - sent - gained)
        self.kills.append(Kill(now, now - sent, lost, self.sent() - now))
        self.between.append(self.whole())
        return False


def in_threads(chains, work) -> None:
    """Do something with every chain at once."""

    def guarded(chain):
        try:
            work(chain)
        except BaseException as error:  # noqa: BLE001 - raised below
            chain.error = error

    threads = [threading.Thread(target=guarded, args=(chain,)) for chain in chains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for chain in chains:
        if chain.error is not None:
            raise chain.error


def show(what, chains, record) -> list[Kill]:
    """Print the figures; return all kills."""
    kills = [kill for chain in chains for kill in chain.kills]
    shares = sorted(kill.lost / max(kill.sent_before, 1) for kill in kills)
    figures = {
        "kills": len(kills),
        "finished": sum(chain.done for chain in chains),
        "absent after a kill": sum(not one for chain in chains for one in chain.between),
        "lost of all sent in killed tries": round(
            sum(kill.lost for kill in kills) / max(sum(kill.sent_this_try for kill in kills), 1), 4
        ),
        "lost of what was sent before, median": round(statistics.median(shares), 4),
        "lost of what was sent before, worst": round(shares[-1], 4),
        "lost at most, bytes": max(kill.lost for kill in kills),
        "sent to nobody, bytes a kill": round(statistics.mean(kill.late for kill in kills)),
        "sent of needed, finished": round(
            sum(chain.sent_in_all for chain in chains)
            / max(sum(chain.done * chain.size for chain in chains), 1),
            4,
        ),
    }
    record(what, figures)
    sys.stdout.write(f"\n{what}: {figures}\n")
    return kills


def check_costs(kills) -> None:
    """Prove that hardly anything is sent twice."""
    assert len(kills) >= KILLS // CHAINS * CHAINS
    on_the_way = IN_FLIGHT // 4 * len(kills)  # on a busy machine, some blocks wait in sockets
    lost, sent = sum(kill.lost for kill in kills), sum(kill.sent_before for kill in kills)
    assert lost <= 0.05 * sent + on_the_way
    assert [one for one in kills if one.lost > 0.05 * one.sent_before + 2 * IN_FLIGHT] == []


def check_clean(layer) -> None:
    """Prove that prune leaves nothing of what was interrupted."""
    pruning.prune(Library([layer], remotes=[]))
    own = layer / ".bg_atlasapi"
    left = [one.relative_to(own) for one in own.rglob("*") if one.is_file()]
    assert {one.parts[0] for one in left} <= {"locks", "inventories", "index"}, left
    assert list(layer.rglob("*~*")) == []
    ours = {own, layer / "brainglobe-atlasapi"}
    folders = [one for one in layer.rglob("*") if one.is_dir() and one not in ours]
    folders = [one for one in folders if own not in one.parents]
    assert [one for one in folders if not any(one.iterdir())] == []


@pytest.fixture(params=["packages", "components"])
def chains(request, tmp_path, making, new_workers):
    """Return chains whose servers offer version 1.0, and a function that publishes 1.1."""
    layout, remote = request.param, tmp_path / "remote"
    publish = making.publish_package if layout == "packages" else making.publish_components
    made = []

    def offer(version) -> None:
        expected = publish(remote, version)
        making.add_inventories(remote)
        if layout == "packages":
            size = (remote / f"{NAME}_v{version}.tar.gz").stat().st_size
        else:
            size = sum((remote / making.STORE / key).stat().st_size for key in expected)
        for chain in made:
            chain.expected[version], chain.size = expected, size

    servers = [Server(remote, rate=RATE) for _ in range(CHAINS)]
    remote.mkdir()
    for number, server in enumerate(servers):
        server.__enter__()
        workers = new_workers()
        made.append(Chain(tmp_path / f"{number}", server, workers, making, layout, {}, 0))
    offer("1.0")
    yield made, offer
    for server in servers:
        server.__exit__(None, None, None)


def test_killed_installs_go_on(chains, record_property) -> None:
    """After each kill the atlas is whole or absent, and hardly anything is sent twice."""
    every, _ = chains

    def work(chain) -> None:
        rng, before = random.Random(f"{chain.layout}{chain.layer.name}"), 0
        while len(chain.kills) < KILLS // CHAINS:
            after = rng.uniform(0.0, LONGEST_S)
            if chain.run_and_kill(INSTALL, after, "1.0"):
                assert chain.whole() == ["1.0"]
                lost = sum(kill.lost + kill.late for kill in chain.kills[before:])
                again = chain.sent() - chain.size
                tries = len(chain.kills) - before + 1
                assert again <= lost + PLANNING * tries + IN_FLIGHT
                before = len(chain.kills)
                chain.done += 1
                chain.sent_in_all += chain.sent()
                check_clean(chain.layer)
                shutil.rmtree(chain.layer)
                chain.server.reset_log()

    in_threads(every, work)
    kills = show(f"install, {every[0].layout}", every, record_property)
    check_costs(kills)


def test_killed_updates_leave_an_atlas(chains, record_property, tmp_path) -> None:
    """After each kill the old or the new atlas is there, whole; both go on, also when forced."""
    every, offer = chains
    first = every[0]
    given = {"name": NAME, "remote": str(first.server.url), "layer": str(tmp_path / "old")}
    (ended,) = first.workers.run({"code": INSTALL, "given": given})
    assert ended["error"] is None
    offer("1.1")

    def work(chain) -> None:
        rng = random.Random(f"update {chain.layout}{chain.layer.name}")
        while len(chain.kills) < KILLS // CHAINS:
            shutil.copytree(tmp_path / "old", chain.layer)
            for force in (False, True):
                chain.server.reset_log()
                for tries in itertools.count():
                    if not chain.installed():  # killed in the instant of replacing
                        break
                    after = rng.uniform(0.0, LONGEST_S) if tries < MOST_TRIES else None
                    if chain.run_and_kill(UPDATE, after, "1.1", force=force):
                        assert "1.1" in chain.whole()
                        chain.done += not force
                        chain.sent_in_all += 0 if force else chain.sent()
                        break
                    if force:  # what is here says nothing of what is kept for the next try
                        chain.kills[-1] = replace(chain.kills[-1], lost=0)
                    assert chain.between[-1] or force, "an update left nothing"
                    assert not force or chain.between[-1][-1:] in ([], ["1.1"])
            check_clean(chain.layer)
            shutil.rmtree(chain.layer)

    in_threads(every, work)
    show(f"update, {first.layout}", every, record_property)


@pytest.fixture
def components(tmp_path, making):
    """Return a remote of components as a folder."""
    making.publish_components(tmp_path / "remote")
    making.add_inventories(tmp_path / "remote")
    return tmp_path / "remote"


def _files_of_store(layer, making) -> list[Path]:
    return [one for one in (layer / making.STORE).rglob("*") if one.is_file()]


def test_prune_clears_a_killed_installation(components, tmp_path, making, new_workers) -> None:
    """Files that came before the manifest belong to no atlas; prune knows them, and only them."""
    layer = tmp_path / "layer"
    with Server(components, rate=100_000) as server:
        given = {"name": NAME, "layer": str(layer), "remote": server.url}
        (ended,) = new_workers().run({"code": INSTALL, "given": given, "kill_after": 1.5})
    assert ended["killed"]
    assert _files_of_store(layer, making)
    foreign = layer / making.STORE / "templates" / "of-others" / "1_0" / "a"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"of another program")
    assert pruning.prune(Library([layer], remotes=[]), dry_run=True)
    pruning.prune(Library([layer], remotes=[]))
    assert _files_of_store(layer, making) == [foreign]


def test_prune_clears_a_removal_that_was_cut_short(
    components, tmp_path, making, monkeypatch
) -> None:
    """A removal that ended after the manifest was gone leaves nothing for good."""
    layer = tmp_path / "layer"
    install_atlas(NAME, brainglobe_dir=layer, remotes=str(components))
    with monkeypatch.context() as patched:
        patched.setattr(limbo, "drop", lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            remove_atlas(NAME, brainglobe_dir=layer)
    assert _files_of_store(layer, making)
    check_clean(layer)
    assert _files_of_store(layer, making) == []


def test_installing_after_a_removal_that_was_cut_short(components, tmp_path, making) -> None:
    """The inventory of an atlas that is gone says nothing of the one that comes after it."""
    layer = tmp_path / "layer"
    found = install_atlas(NAME, brainglobe_dir=layer, remotes=str(components))
    (found.path / "manifest.json").unlink()
    for path in _files_of_store(layer, making):
        if path.parent.name == "mesh":
            path.unlink()
    only = "template,annotation"
    install_atlas(NAME, brainglobe_dir=layer, remotes=str(components), only=only)
    (atlas,) = [one for one in cache.installed([layer]) if one.layer == layer]
    assert verification.verify(Library([layer], remotes=[]), atlas).damaged == ()


def test_removing_one_atlas_spares_the_files_of_one_that_is_coming(
    components, tmp_path, making
) -> None:
    """What an installation under way has taken over from an installed atlas stays there."""
    layer = tmp_path / "layer"
    install_atlas(NAME, brainglobe_dir=layer, remotes=str(components))
    coming = "terminologies/noise/1_0/terminology.csv"
    limbo.note(layer, "other_mouse_100um", "1.0", [coming])
    remove_atlas(NAME, brainglobe_dir=layer)
    assert _files_of_store(layer, making) == [layer / making.STORE / coming]
    check_clean(layer)
    assert _files_of_store(layer, making) == []
