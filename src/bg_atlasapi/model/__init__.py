"""The pure part: terminology, space, labels. numpy only, no files, no network."""
