"""Every public name of bg-atlasapi 1.0.3 is where it was, with the parameters it had."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bg_atlasapi.bg_atlas import BrainGlobeAtlas

MODULES = (
    *("bg_atlas", "core", "list_atlases", "structure_class", "structure_tree_util"),
    *("update_atlases", "descriptors", "utils", "config", "cli"),
)
Names = dict[str, dict[str, Any]]
# Parameters that brainglobe-atlasapi 3 added, in the place where it has them.
FROM_3X = {"key_error_string"}


def extends(theirs: list[list[Any]], ours: list[list[Any]]) -> bool:
    """Say whether a signature takes every call of the peer's: new parameters by keyword only."""
    added = [one for one in ours[len(theirs) :] if one[1] != "KEYWORD_ONLY"]
    return ours[: len(theirs)] == theirs and {one[0] for one in added} <= FROM_3X


def differences(name: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    """Yield what a name of ours lacks of what the peer's is."""
    if "function" in theirs:
        if "function" not in ours:
            yield f"{name} is no function: {ours}"
        elif not extends(theirs["function"], ours["function"]):
            yield f"{name}: {theirs['function']} became {ours['function']}"
    elif "class" in theirs:
        for member, signature in theirs["class"].items():
            found = ours.get("class", {}).get(member)
            if found is None:
                yield f"{name}.{member} is missing"
            elif isinstance(signature, list) and not extends(signature, found):
                yield f"{name}.{member}: {signature} became {found}"
    elif set(theirs) != set(ours):
        yield f"{name}: {theirs} became {ours}"


@pytest.mark.parametrize("origin", ["defined", "imported"])
@pytest.mark.parametrize("module", MODULES)
def test_public_names_and_signatures(
    peer_names: Names, describe: Callable[[object], dict[str, Any]], module: str, origin: str
) -> None:
    """Each name that a module of 1.0.3 defines, or passes on from its siblings, is still there.

    Functions and methods take the same parameters, in order, with the same defaults; new ones by
    keyword only. What 1.0.3 imported from elsewhere (``np``, ``Path``) was never its own.
    """
    here = importlib.import_module(f"bg_atlasapi.{module}")
    problems: list[str] = []
    for name, (where, theirs) in peer_names[module].items():
        if where != origin:
            continue
        if not hasattr(here, name):
            problems.append(f"{name} is missing")
        else:
            problems += differences(name, theirs, describe(getattr(here, name)))
    assert not problems, problems


@pytest.mark.parametrize("module", ["descriptors", "bg_atlas", "config"])
def test_constants_have_their_values(peer_names: Names, module: str) -> None:
    """File names, types, templates and addresses are those of 1.0.3; folders are the user's own."""
    here = importlib.import_module(f"bg_atlasapi.{module}")
    for name, (where, theirs) in peer_names[module].items():
        if where == "defined" and "value" in theirs and "Path(" not in theirs["value"]:
            assert repr(getattr(here, name)) == theirs["value"], name


def test_the_names_asked_for_are_the_names_there_are(peer_names: Names) -> None:
    """The list of modules above is complete, and the peer named what it is known to have."""
    assert set(peer_names) == set(MODULES)
    assert {"BrainGlobeAtlas", "COMPRESSED_FILENAME"} <= set(peer_names["bg_atlas"])
    assert {"read_tiff", "retrieve_over_http"} <= set(peer_names["utils"])


def test_unknown_keywords_are_refused() -> None:
    """A misspelt keyword is a TypeError, as in 1.0.3, and not silently dropped."""
    parameters = inspect.signature(BrainGlobeAtlas).parameters.values()
    assert all(one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL) for one in parameters)
    with pytest.raises(TypeError, match="brainglobe_folder"):
        BrainGlobeAtlas("phantom_mouse_100um", brainglobe_folder=".")  # type: ignore[call-arg]
