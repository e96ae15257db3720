"""Whether the pictures in use differ from those learned from.

``log`` reads what was logged, ``find`` gathers both sides and tells the outcome, ``compare`` tests.
"""
