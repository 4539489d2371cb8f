"""Where atlases are on this machine."""
