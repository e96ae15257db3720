"""What `import pawprint` offers to a notebook or another program."""
