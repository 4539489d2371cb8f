"""Questions asked of an opened atlas."""
