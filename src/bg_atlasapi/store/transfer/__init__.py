"""How files get here whole: pieces, resuming, hashes, progress. Knows nothing of atlases."""
