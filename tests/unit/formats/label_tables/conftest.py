"""A small table of each kind."""

from __future__ import annotations

import json

import pytest

SNAP = """\
################################################
# ITK-SnAP Label Description File
################################################
    0     0    0    0        0  0  0    "Clear Label"
    1   255   52   39        1  1  0    "corticofugal tract, corona radiata"
   12     0    0  255        1  1  0    "Subthalamic nucleus"
"""
LUT = """\
#No. Label Name:                            R   G   B   A

0   Unknown                                 0   0   0   0
2   Left-Cerebral-White-Matter              245 245 245 0
1001    ctx-lh-bankssts                     25  100 40  0
"""
SLICER = """\
# Color table file labels.ctbl
# 3 values
0 Background 0 0 0 0
5 Primary_visual_area 10 20 30 255
6 Cerebellum 40 50 60 255
"""
BIDS = """\
index\tname\tabbreviation\tcolor\tmapping
1\tPrimary visual area\tV1\t#ff0080\t1
2\tArea A1/A2\tn/a\t070840\tn/a
"""
ALLEN_CSV = """\
id,atlas_id,name,acronym,st_level,parent_structure_id,depth,graph_order,structure_id_path,color_hex_triplet
997,-1,root,root,,,0,0,/997/,FFFFFF
8,0,"Basic cell groups, regions",grey,,997.0,1,1,/997/8/,19399
"""
GRAPH = {
    "msg": [
        {
            "id": 997,
            "acronym": "root",
            "name": "root",
            "color_hex_triplet": "FFFFFF",
            "parent_structure_id": None,
            "children": [
                {"id": 8, "acronym": "grey", "name": "Grey", "color_hex_triplet": "BFDAE3"}
            ],
        }
    ]
}
BRAINGLOBE = [
    {
        "id": 1,
        "acronym": "root",
        "name": "root",
        "structure_id_path": [1],
        "rgb_triplet": [255, 255, 255],
    },
    {
        "id": 5,
        "acronym": "a",
        "name": "Region a",
        "structure_id_path": [1, 5],
        "rgb_triplet": [1, 2, 3],
    },
]
BRAINGLOBE_CSV = """\
acronym,id,name,structure_id_path,parent_structure_id
root,997,"root",/997/,
grey,8,"Basic cell groups, regions",/997/8/,997
"""
TERMINOLOGY = """\
identifier,parent_identifier,annotation_value,name,abbreviation,color_hex_triplet,root_identifier_path
MBA:997,,997,root,root,#FFFFFF,['MBA:997']
MBA:8,MBA:997,8,Grey,grey,#BFDAE3,"['MBA:997', 'MBA:8']"
"""


@pytest.fixture
def samples() -> dict[str, str]:
    """Return a table of each kind, as text."""
    return {
        "itksnap": SNAP,
        "freesurfer": LUT,
        "slicer": SLICER,
        "bids": BIDS,
        "allen-csv": ALLEN_CSV,
        "allen-graph": json.dumps(GRAPH),
        "brainglobe-json": json.dumps(BRAINGLOBE),
        "brainglobe-csv": BRAINGLOBE_CSV,
        "terminology-csv": TERMINOLOGY,
        "csv": "id,name,parent\n1,Brain,\n2,Cortex,Brain\n",
    }
