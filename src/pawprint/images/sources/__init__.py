"""Where pictures come from: folders, archives, the web."""
