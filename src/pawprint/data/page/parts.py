"""The parts of the audit page."""

from pathlib import Path

from pawprint.pages.markup import Parts

draw = Parts(Path(__file__).with_name("audit.html")).draw
