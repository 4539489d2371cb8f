"""What other packages use in their tests: small atlases, written to a folder in no time.

>>> import tempfile
>>> from bg_atlasapi import BrainGlobeAtlas
>>> from bg_atlasapi.testing import tiny_package
>>> with tempfile.TemporaryDirectory() as folder:
...     path = tiny_package(folder)
...     atlas = BrainGlobeAtlas("tiny_mouse_100um", brainglobe_dir=folder, check_latest=False)
...     atlas.get_structure_descendants("grey")
['CH', 'CTX', 'BS']

Nothing here reads, checks or repairs an atlas; see ``bg_atlasapi.formats``.
"""

from __future__ import annotations

from bg_atlasapi.testing.components import tiny_components
from bg_atlasapi.testing.packages import TINY_STRUCTURES, tiny_package, write_package

__all__ = ["TINY_STRUCTURES", "tiny_components", "tiny_package", "write_package"]
