"""Pawprint: a folder of pictures in, a tracked, tested and registered classifier out."""
