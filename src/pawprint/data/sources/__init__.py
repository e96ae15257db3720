"""Where pictures come from: a folder, an archive, or an address of either."""
