"""What all HTML pages share: filling their parts, and how they look."""
