"""Who is champion, and which network answers.

``champion`` registers a challenger and tells the story of a decision, ``gate`` has the rules,
``scoring`` which test pictures a network gets right, ``decision`` what is decided, ``history`` who
was champion before; ``source`` finds the network that a name means.
"""
