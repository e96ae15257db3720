"""Who is champion: the gate, the scores on the same pictures, the line of champions."""
