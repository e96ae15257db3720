"""Who is champion, and which network answers."""
