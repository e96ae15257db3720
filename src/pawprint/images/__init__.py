"""Reading pictures: sources, class folders, decoding, splits and the array store."""
