"""Is an atlas sound? Checks of any atlas, ours or not; what they find has stable codes.

``check_path`` takes a folder, however broken; ``check_atlas`` the parts of one that opened;
``check_labels_against`` a table and labels before there is an atlas. They mend nothing.
"""

from bg_atlasapi.build.validation.catalogue import KINDS, Kind
from bg_atlasapi.build.validation.checking import Verdict, check_atlas, check_opened, check_path
from bg_atlasapi.build.validation.findings import Findings
from bg_atlasapi.build.validation.labels import check_labels_against
from bg_atlasapi.build.validation.tables import check_structures

__all__ = [
    "KINDS",
    "Findings",
    "Kind",
    "Verdict",
    "check_atlas",
    "check_labels_against",
    "check_opened",
    "check_path",
    "check_structures",
]
