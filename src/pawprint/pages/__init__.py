"""What all HTML pages share: the base template, the style, and how a template is filled."""
