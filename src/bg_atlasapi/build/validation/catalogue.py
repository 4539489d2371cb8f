"""Every finding there is: its code, how grave it is, what it means, how to mend it.

A code is stable: scripts may go by it. It always has the same severity. ``docs/reference/findings``
is made of this table. What finds them is in the modules beside this one; those of the chapter
``READING`` are raised by the readers in ``formats`` and by ``model.preorder``.
"""

from __future__ import annotations

from dataclasses import dataclass

from bg_atlasapi.errors import Finding

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
READING, STRUCTURES, LABELS = "Reading", "Structures", "Labels"
SIDES, TEMPLATE, MESHES, METADATA = "Sides and axes", "Template", "Meshes", "Metadata"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a code means.

    Parameters
    ----------
    code
        Stable.
    severity
        ``"error"``: answers would be wrong, or there are none; a build stops. ``"warning"``:
        usable, but something is likely not as it was meant. ``"note"``: worth knowing.
    chapter
        What it is about.
    meaning
        What is wrong, for the reference.
    mend
        What to do about it.
    """

    code: str
    severity: str
    chapter: str
    meaning: str
    mend: str


_ROWS = (
    # Reading
    ("not-an-atlas", ERROR, READING, "There is no atlas at the path, or no such path.",
     "Name the folder that holds metadata.json, or a manifest.json."),
    ("missing-file", ERROR, READING, "A file that every atlas has is missing or cannot be read.",
     "Install the atlas again, or build it again."),
    ("unreadable", ERROR, READING, "A volume is damaged, cut short, or lacks chunks.",
     "Install the atlas again, or write the volume again."),
    ("check-failed", ERROR, READING, "A check met something that it cannot deal with.",
     "Look at the file that is named; if it is sound, report this as a fault of the check."),
    ("not-json", ERROR, READING, "A JSON file is not JSON.", "Write the file again."),
    ("metadata-type", ERROR, READING, "The metadata are no JSON object.",
     "Write one object with the keys of an atlas."),
    ("metadata-missing", ERROR, READING, "The metadata lack shape, resolution or orientation.",
     "Add the key."),
    ("metadata-value", ERROR, READING, "A value in the metadata is not what its key asks for.",
     "Correct the value."),
    ("manifest-component", ERROR, READING, "The manifest does not name a component as it must.",
     "State name, version and location of the component."),
    ("location-outside", ERROR, READING, "A location leads out of the store.",
     "Put the component into the store, and state where."),
    ("version-mismatch", ERROR, READING, "Name or version contradict the folder, or each other.",
     "Correct the manifest, or rename the folder."),
    ("structures-type", ERROR, READING, "structures.json is not a list of objects.",
     "Write one object for each structure."),
    ("structure-entry", ERROR, READING, "A structure cannot be understood.",
     "Correct the id, path or colour of the entry."),
    ("terminology-column", ERROR, READING, "terminology.csv lacks a column, or has it twice.",
     "Give it the columns identifier, name and abbreviation."),
    ("terminology-csv", ERROR, READING, "terminology.csv is no table of comma-separated values.",
     "Write the file again."),
    ("shape-mismatch", ERROR, READING, "A volume has another shape than the metadata say.",
     "Correct the shape in the metadata, or the volume."),
    ("volume-type", ERROR, READING, "A volume holds numbers of a type it may not.",
     "Store the annotation and hemispheres as whole numbers, images as real ones."),
    ("zarr-metadata", ERROR, READING, "The description of a Zarr array cannot be understood.",
     "Write the array again."),
    ("zarr-codec", ERROR, READING, "A Zarr array is encoded in a way that cannot be read here.",
     "Write it with zstd, blosc, gzip or no compression."),
    ("ome-zarr", ERROR, READING, "A volume is no OME-Zarr image.",
     "Write it as OME-Zarr 0.4 or 0.5."),
    ("ome-zarr-level", ERROR, READING, "An OME-Zarr image lacks a level that it must have.",
     "Write a level of the atlas's shape and voxel size."),
    ("mesh-format", ERROR, READING, "The meshes are stored in a way that is not known here.",
     "Write the meshes again."),
    # Structures
    ("empty", ERROR, STRUCTURES, "No structure is listed.", "List the structures, a root first."),
    ("no-root", ERROR, STRUCTURES, "No structure is at the top of the hierarchy.",
     "Add a root whose structure_id_path holds only its own id."),
    ("several-roots", ERROR, STRUCTURES, "More than one structure is at the top.",
     "Put all but one below the root."),
    ("root-acronym", WARNING, STRUCTURES, "No acronym is root: other tools do not open the atlas.",
     "Give the structure at the top the acronym root."),
    ("cycle", ERROR, STRUCTURES, "Parents lead in a circle and never to the root.",
     "Correct the parents."),
    ("missing-parent", ERROR, STRUCTURES, "A structure's parent is not listed.",
     "List the parent, or name another."),
    ("path-mismatch", WARNING, STRUCTURES, "A structure's path is not its parent's and itself.",
     "Write the path from the root to the structure, both included."),
    ("duplicate-id", ERROR, STRUCTURES, "Several structures have the same id.",
     "Give each an id of its own, in the annotation too."),
    ("duplicate-acronym", ERROR, STRUCTURES, "Several structures have the same acronym.",
     "Give each an acronym of its own."),
    ("id-out-of-range", ERROR, STRUCTURES, "An id is not in 1…4294967295: no voxel can carry it.",
     "Give the structure another id; 0 is outside."),
    ("id-too-large", ERROR, STRUCTURES, "An id does not even fit 64 bits.",
     "Give the structure another id."),
    ("acronym-missing", WARNING, STRUCTURES, "A structure has no acronym; its id stands for it.",
     "Give it an acronym."),
    ("name-missing", WARNING, STRUCTURES, "A structure has no name; its acronym stands for it.",
     "Give it a name."),
    ("blank-at-end", WARNING, STRUCTURES, "An acronym or name begins or ends with a blank.",
     "Remove the blank: people do not type it."),
    ("acronym-is-id", WARNING, STRUCTURES, "An acronym is the id of another structure.",
     "Choose another acronym: a number is read as an id."),
    ("colour-out-of-range", ERROR, STRUCTURES, "A colour is not three whole numbers 0…255.",
     "Write three whole numbers from 0 to 255."),
    ("colour-missing", NOTE, STRUCTURES, "A structure has no colour; it is shown white.",
     "Give it a colour."),
    ("colours-identical", WARNING, STRUCTURES, "All structures have the same colour.",
     "Give structures colours of their own, or they cannot be told apart in pictures."),
    # Labels
    ("no-labels", ERROR, LABELS, "No voxel carries the label of a structure.",
     "Look whether this is the right annotation, and whether labels survived conversion."),
    ("label-without-structure", ERROR, LABELS, "Voxels carry a label that no structure has.",
     "List the structure, or give the voxels another label."),
    ("structure-without-voxels", WARNING, LABELS, "Neither it nor a structure below it has voxels.",
     "Remove it, or label its voxels; at large voxels small structures may vanish."),
    ("no-background", WARNING, LABELS, "Every voxel carries a label: nothing is outside.",
     "Label what is outside 0."),
    ("size-implausible", WARNING, LABELS, "The labels span more, or less, than a brain does.",
     "Look at the voxel size: µm are expected, not mm or nm."),
    ("islands", NOTE, LABELS, "A label has tiny parts apart from its others.",
     "Give such voxels the label around them; thin layers fall apart at large voxels."),
    ("holes", NOTE, LABELS, "Voxels without a label are enclosed by labels: tiny holes.",
     "Fill them with the label around them."),
    ("large-holes", WARNING, LABELS, "A large part enclosed by labels has no label.",
     "Label it, if it is not meant to be outside."),
    # Sides and axes
    ("one-sided", WARNING, SIDES, "One hemisphere has next to no labels.",
     "If this is a half brain, say so; else look at the orientation and at the hemispheres."),
    ("off-centre", WARNING, SIDES, ("An atlas called symmetric does not have its midline in the "
     "middle: sides are wrong near it."),
     "Centre the volume on the midline, or store hemispheres and state symmetric: false."),
    ("asymmetric", WARNING, SIDES, ("An atlas called symmetric is not: less than 95 % of labelled "
     "voxels have the same label mirrored, to within a voxel."),
     "State symmetric: false and store hemispheres, or mirror the labels."),
    ("slightly-asymmetric", NOTE, SIDES, ("An atlas called symmetric is not quite: 95 to 99.9 % of "
     "labelled voxels have the same label mirrored, to within a voxel."),
     "Nothing, if left and right were drawn apart; hemispheres are split at the middle."),
    ("hemispheres-swapped", ERROR, SIDES, ("Stored hemispheres are left where the orientation says "
     "right."), "Swap 1 (left) and 2 (right), or correct the orientation."),
    ("hemispheres-one-sided", ERROR, SIDES, "Stored hemispheres know only one side.",
     "Write 1 on the left and 2 on the right."),
    ("hemispheres-incomplete", WARNING, SIDES, "Labelled voxels are in neither hemisphere.",
     "Write 1 on the left and 2 on the right, everywhere."),
    ("sides-contradict-names", ERROR, SIDES, "Structures called left lie on the right.",
     "Look at the orientation: the image is likely mirrored."),
    ("orientation-implausible", WARNING, SIDES, ("The labels are mirror-symmetric, but not across "
     "the axis that the orientation calls left-right."), "Correct the orientation."),
    # Template
    ("template-empty", ERROR, TEMPLATE, "All voxels of the template have the same value.",
     "Write the template again; a wrong scale may have rounded it away."),
    ("template-misaligned", WARNING, TEMPLATE, ("The labels fit the template better when moved or "
     "mirrored."), "Look at both: one of them is likely turned or shifted."),
    ("template-unrelated", WARNING, TEMPLATE, "The labels say nothing about the template.",
     "Look whether this is the template that was annotated."),
    ("reference-shape", WARNING, TEMPLATE, "A further reference has another shape.",
     "Resample it to the atlas's voxels."),
    # Meshes
    ("no-meshes", WARNING, MESHES, "There are no meshes.", "Build the atlas with meshes."),
    ("mesh-missing", WARNING, MESHES, "A structure with voxels has no mesh.",
     "Make the mesh; a viewer leaves the structure out."),
    ("mesh-unreadable", ERROR, MESHES, "A mesh is empty, cut short, not finite, or no mesh.",
     "Install the atlas again, or make the mesh again."),
    ("mesh-unlisted", NOTE, MESHES, "A mesh belongs to no structure.", "Remove the file."),
    ("mesh-open", WARNING, MESHES, "A mesh is not watertight.",
     "Make the mesh again; until then its volume means little."),
    ("mesh-not-manifold", NOTE, MESHES, "Parts of a mesh touch in an edge or a point.",
     "Make the mesh again, if a tool needs a manifold."),
    ("mesh-inside-out", WARNING, MESHES, "The triangles of a mesh face inward.",
     "Reverse the corners of each triangle."),
    ("mesh-outside", ERROR, MESHES, "A mesh reaches beyond the volume.",
     "Write points in µm from the corner of voxel 0, in the order of the axes."),
    ("mesh-far", ERROR, MESHES, "A mesh does not lie where its labels are.",
     "Write points in µm from the corner of voxel 0, in the order of the axes."),
    ("mesh-loose", WARNING, MESHES, "A mesh follows its labels only in part.",
     "Make it of this annotation, with less smoothing or simplification."),
    ("mesh-volume", WARNING, MESHES, "A mesh encloses far more, or less, than its labels.",
     "Make it of this annotation, with less smoothing."),
    # Metadata
    ("citation-missing", WARNING, METADATA, "Nothing says how to cite the atlas.",
     "State the citation, with a DOI."),
    ("licence-missing", NOTE, METADATA, "Nothing says what others may do with the atlas.",
     "State the licence."),
    ("species-missing", NOTE, METADATA, "Nothing says whose brain it is.",
     "State the species in Latin."),
    ("name-mismatch", WARNING, METADATA, "Name and version of the folder are not the metadata's.",
     "Rename the folder, or correct the metadata."),
    ("resolution-mismatch", WARNING, METADATA, ("The name states another voxel size than the "
     "metadata."), "Correct whichever is wrong."),
)  # fmt: skip
KINDS = {row[0]: Kind(*row) for row in _ROWS}
_ORDER = {code: place for place, code in enumerate(KINDS)}


def found(code: str, message: str, where: str = "") -> Finding:
    """Return a finding of a code that is in the table."""
    kind = KINDS[code]
    return Finding(code, message, kind.severity, where, kind.mend)


def completed(finding: Finding) -> Finding:
    """Return a finding, of a reader, as grave as the table says, and with how to mend it."""
    kind = KINDS.get(finding.code)
    if kind is None:
        return finding
    return Finding(
        finding.code, finding.message, kind.severity, finding.where, finding.mend or kind.mend
    )


def rank(finding: Finding) -> tuple[int, int]:
    """Return by what findings are sorted: the gravest first, then as in the table."""
    known = finding.severity in SEVERITIES
    grave = SEVERITIES.index(finding.severity) if known else len(SEVERITIES)
    return grave, _ORDER.get(finding.code, len(_ORDER))
