"""Where pictures come from: folders, archives, addresses."""
