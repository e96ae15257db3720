"""The network as LiteRT, for phones: written, and read here as there."""
