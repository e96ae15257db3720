"""Pictures, from the files of a person to arrays."""
