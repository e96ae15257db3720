"""From params.yaml, conf/ and the command line to one typed configuration; where files are."""
