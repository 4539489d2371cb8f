"""Everything that happens to a folder of atlases, in any order, against a plain model of it.

The model knows which versions are installed and which files are damaged. Processes are really
killed, so how far one came is not the same at every run: the model then takes what is there, after
checking that it is one of the states that are allowed. No choice of hypothesis depends on that.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import AtlasError
from bg_atlasapi.formats import registry
from bg_atlasapi.store import cache, inventory
from bg_atlasapi.store.checker import Checker
from bg_atlasapi.testing.server import Server
from bg_atlasapi.update_atlases import (
    install_atlas,
    prune_atlases,
    remove_atlas,
    update_atlas,
    verify_atlas,
)

NAME = "noise_mouse_100um"
VERSIONS = ("1.0", "1.1", "1.2")
EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "20"))
MAKING = Path(__file__).parents[1] / "faults" / "making.py"
CALL = """
import bg_atlasapi.update_atlases as functions
getattr(functions, verb)(name, brainglobe_dir=layer, **more)
"""
numbers = st.integers(0, 9999)
moments = st.floats(0.0, 0.12)


def _making() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bg_atlasapi_test_making", MAKING)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read(path) -> list[str]:
    """Return hashes of the volumes of an atlas, opened as users do."""
    with contextlib.suppress(AttributeError):
        registry.open_atlas.cache_clear()
    found = cache.identify(path)
    atlas = BrainGlobeAtlas(
        f"{NAME}@{found.version_text}", brainglobe_dir=found.layer, remotes=[], check_latest=False
    )
    volumes = (atlas.annotation, atlas.reference)
    return [hashlib.sha256(volume.tobytes()).hexdigest() for volume in volumes]


class Store(RuleBasedStateMachine):
    """One folder of atlases and one remote."""

    layout: ClassVar[str]
    folder: ClassVar[Path]  # for all examples
    server: ClassVar[Server]
    workers: ClassVar[Any]
    making: ClassVar[ModuleType]
    files: ClassVar[dict[str, dict[str, str]]]  # what each version consists of, hashed
    volumes: ClassVar[dict[str, list[str]]]  # what reading each version gives
    examples = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).examples += 1
        self.layer = self.folder / f"layer{self.examples}"
        self.published = 0
        self.here: set[str] = set()
        self.damaged: set[Path] = set()

    def teardown(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.layer, ignore_errors=True)

    @property
    def newest(self) -> str:
        """Return the newest version at the remote."""
        return VERSIONS[self.published - 1]

    @property
    def packages(self) -> bool:
        """Say which layout it is."""
        return self.layout == "packages"

    @property
    def remote(self) -> str:
        """Return the address of the remote as it is now."""
        return f"{self.server.url}/{self.published}"

    @property
    def given(self) -> dict[str, Any]:
        """Return where to, and from where."""
        return {"brainglobe_dir": self.layer, "remotes": self.remote}

    def base(self, version) -> Path:
        """Return what the keys of a version are relative to."""
        return self.layer / (f"{NAME}_v{version}" if self.packages else self.making.STORE)

    def paths(self, version) -> set[Path]:
        """Return the files of a version."""
        return {self.base(version) / key for key in self.files[version]}

    def bad_keys(self, version) -> set[str]:
        """Return the keys of a version that are damaged."""
        paths = self.damaged & self.paths(version)
        return {one.relative_to(self.base(version)).as_posix() for one in paths}

    def listed(self) -> dict[str, Path]:
        """Return what the library says is here."""
        found = cache.installed([self.layer])
        return {one.version_text: one.path for one in found if one.layer == self.layer}

    def pick(self, number) -> str | None:
        """Return one of the versions that are here."""
        versions = sorted(self.here)
        return versions[number % len(versions)] if versions else None

    def arrived(self, version) -> None:
        """Note that a version is here now, and sound."""
        self.here.add(version)
        self.damaged -= self.paths(version)

    def left(self, version) -> None:
        """Note that a version is gone."""
        self.here.discard(version)
        still = {path for one in self.here for path in self.paths(one)}
        self.damaged &= still

    # What people do.

    @initialize()
    def begin(self) -> None:
        """Let the remote have its first version."""
        self.published = 1

    @rule()
    def publish(self) -> None:
        """Let the remote have one version more."""
        self.published = min(self.published + 1, len(VERSIONS))

    @rule()
    def install(self) -> None:
        """Install the newest, unless any is here."""
        found = install_atlas(NAME, **self.given)
        if self.here:
            assert found.version_text == max(self.here)
        else:
            assert found.version_text == self.newest
            self.arrived(self.newest)

    @rule(number=numbers)
    def install_version(self, number) -> None:
        """Install a certain version."""
        version = VERSIONS[number % self.published]
        install_atlas(NAME, version=version, **self.given)
        if version not in self.here:
            self.arrived(version)

    @rule(force=st.booleans())
    def update(self, force) -> None:
        """Update, which removes the version that was the newest here."""
        if not self.here:
            return
        before = max(self.here)
        update_atlas(NAME, force, **self.given)
        if self.newest > before or force:
            self.arrived(self.newest)
            if before != self.newest:
                self.left(before)

    @rule(number=numbers)
    def remove(self, number) -> None:
        """Remove one version."""
        if version := self.pick(number):
            remove_atlas(NAME, version=version, brainglobe_dir=self.layer)
            self.left(version)

    @rule()
    def prune(self) -> None:
        """Remove what is old or half-made; nothing of it is left."""
        prune_atlases(brainglobe_dir=self.layer)
        for version in sorted(self.here)[:-1]:
            self.left(version)
        own = self.layer / inventory.OWN_FOLDER
        left = [one.relative_to(own) for one in own.rglob("*") if one.is_file()]
        assert {one.parts[0] for one in left} <= {"locks", "inventories", "index"}, left
        needed = {path for one in self.here for path in self.paths(one)}
        there = {path for one in VERSIONS for path in self.paths(one) if path.exists()}
        assert there <= needed, there - needed

    # What goes wrong.

    @rule(number=numbers, file=numbers, how=st.sampled_from(["flip", "cut", "delete"]))
    def damage(self, number, file, how) -> None:
        """Damage a file of an installed version."""
        version = self.pick(number)
        if version is None:
            return
        paths = sorted(self.paths(version))
        path = paths[file % len(paths)]
        is_manifest = path.name == cache.MANIFEST and not self.packages
        if path in self.damaged or (is_manifest and how == "delete"):
            return
        data = bytearray(path.read_bytes())
        data[file % len(data)] ^= 0xFF
        if how == "delete":
            path.unlink()
        else:
            path.write_bytes(data[: len(data) // 2] if how == "cut" else data)
            later = path.stat().st_mtime_ns + 10**9
            os.utime(path, ns=(later, later))
        self.damaged.add(path)

    def kill(self, verb, after, coming, leaving, **more) -> None:
        """Do something in a process that is killed; then take for true what may be true."""
        given = {"verb": verb, "name": NAME, "layer": str(self.layer), "more": more}
        if verb != "remove_atlas":
            more["remotes"] = self.remote
        (ended,) = self.workers.run({"code": CALL, "given": given, "kill_after": after})
        assert ended["error"] is None, ended["error"]
        listed = set(self.listed())
        assert self.here - leaving <= listed <= self.here | coming, (self.here, listed)
        may_be_whole = {path for one in coming | leaving for path in self.paths(one)}
        before, self.here = self.damaged, listed
        self.damaged = set()
        for version in listed:
            found = verify_atlas(NAME, version=version, brainglobe_dir=self.layer, remotes=[])
            self.damaged |= {self.base(version) / one.key for one in found.damaged}
        assert self.damaged <= before, self.damaged - before
        still = {path for one in listed for path in self.paths(one)}
        assert (before & still) - self.damaged <= may_be_whole

    @rule(after=moments, number=numbers)
    def kill_install(self, after, number) -> None:
        """Kill an installation."""
        version = VERSIONS[number % self.published]
        self.kill("install_atlas", after, {version} - self.here, set(), version=version)

    @rule(after=moments, force=st.booleans())
    def kill_update(self, after, force) -> None:
        """Kill an update; a forced one may leave nothing of the version it replaces."""
        if self.here:
            before = max(self.here)
            goes = self.newest > before or force
            coming = {self.newest} if goes else set()
            self.kill("update_atlas", after, coming, {before} if goes else set(), force=force)

    @rule(after=moments, number=numbers)
    def kill_remove(self, after, number) -> None:
        """Kill a removal."""
        if version := self.pick(number):
            self.kill("remove_atlas", after, set(), {version}, version=version)

    @rule(after=moments, number=numbers)
    def kill_repair(self, after, number) -> None:
        """Kill a repair."""
        if version := self.pick(number):
            given = {"version": version, "repair": True}
            self.kill("verify_atlas", after, {version}, set(), **given)

    # What must hold.

    @rule(number=numbers)
    def repair(self, number) -> None:
        """Repair one version: only what is damaged is fetched."""
        version = self.pick(number)
        if version is None:
            return
        bad = self.bad_keys(version)
        self.server.reset_log()
        found = verify_atlas(NAME, version=version, repair=True, **self.given)
        assert found.sound
        assert set(found.repaired) == {one.key for one in found.damaged} == bad
        log = [one for one in self.server.log() if one.method == "GET" and one.status in {200, 206}]
        got = [one.path for one in log if not one.path.endswith((".conf", "inventory.json", "/"))]
        store = f"/{self.published}/{self.making.STORE}/"
        archive = f"/{self.published}/{NAME}_v{version}.tar.gz"
        if self.packages:
            assert set(got) == ({archive} if bad else set())
        else:
            assert sorted(got) == sorted(store + key for key in bad)
        self.damaged -= self.paths(version)

    @invariant()
    def what_is_listed_is_installed(self) -> None:
        """The folder lists what the model has."""
        assert set(self.listed()) == self.here

    @invariant()
    def verify_names_the_damage(self) -> None:
        """Verification names the damaged files and no other."""
        for version in self.here:
            found = verify_atlas(NAME, version=version, brainglobe_dir=self.layer, remotes=[])
            assert {one.key for one in found.damaged} == self.bad_keys(version)
            assert found.sound is (not self.bad_keys(version))

    @invariant()
    def reading_gives_what_was_published_or_raises(self) -> None:
        """A sound atlas reads as published; a damaged volume raises, and never reads as zeros."""
        for version, path in self.listed().items():
            bad = self.bad_keys(version)
            is_read = [key for key in bad if not key.endswith((".obj", ".csv", "nissl.tiff"))]
            if not self.packages:
                is_read = [key for key in bad if "/mesh/" not in key]
            if is_read:
                with pytest.raises(AtlasError):
                    _read(path)
            else:
                assert _read(path) == self.volumes[version]
            for key in bad if self.packages and not is_read else ():
                if key.endswith(".obj"):
                    atlas = registry.open_atlas(path, Checker(path))
                    with pytest.raises(AtlasError):
                        atlas.meshes.read(int(Path(key).stem))


@pytest.mark.skipif(sys.platform == "win32", reason="kills copies of a process")
@pytest.mark.parametrize("layout", ["packages", "components"])
def test_any_order_of_events_leaves_whole_atlases(layout, tmp_path) -> None:
    """Whatever is done, killed and damaged in whatever order, the store agrees with the model."""
    making = _making()
    remotes, files, volumes = tmp_path / "remotes", {}, {}
    for count in range(1, len(VERSIONS) + 1):
        remote = remotes / str(count)
        for version in VERSIONS[:count]:
            if layout == "packages":
                files[version] = making.publish_package(remote, version, side=12)
                shutil.rmtree(remote / "unpacked")
            else:
                files[version] = making.publish_components(remote, version, 16, 8, 2)
        making.add_inventories(remote)
        found = install_atlas(NAME, brainglobe_dir=tmp_path / "first", remotes=str(remote),
                              version=VERSIONS[count - 1])  # fmt: skip
        volumes[VERSIONS[count - 1]] = _read(found.path)
    workers = making.Workers()
    with Server(remotes) as server:
        about = {"layout": layout, "folder": tmp_path, "server": server, "workers": workers}
        about |= {"making": making, "files": files, "volumes": volumes}
        machine = type(f"StoreOf{layout.title()}", (Store,), about)
        profile = settings(
            max_examples=EXAMPLES,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(machine, settings=profile)
    workers.close()
