"""The parts of the comparison's page."""

from pathlib import Path

from pawprint.pages.markup import Parts

draw = Parts(Path(__file__).with_name("compare.html")).draw
