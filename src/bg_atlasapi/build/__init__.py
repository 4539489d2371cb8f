"""From labels to an atlas: recipes, meshes, packaging, validation, report."""
