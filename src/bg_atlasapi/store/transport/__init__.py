"""How bytes are asked for: web servers, S3, folders. Knows nothing of atlases."""
