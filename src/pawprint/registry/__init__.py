"""Who is champion, which network answers, and which teaches.

``champion`` registers a challenger and tells the story of a decision, ``gate`` has the rules and
what is decided, ``scoring`` which test pictures a network gets right, ``history`` who was champion
before; ``source`` finds the network that a name means, ``teacher`` the one to learn from.
"""
