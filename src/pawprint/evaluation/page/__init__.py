"""The pages that show how good a network is."""
