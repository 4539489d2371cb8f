"""One HTML page about an atlas, to look at and to mail: it holds everything it shows.

``write_report`` writes it. What it says is found by ``validation``; this only shows it.
"""

from bg_atlasapi.build.report.writing import write_report

__all__ = ["write_report"]
