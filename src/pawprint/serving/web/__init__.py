"""A server that answers pictures over HTTP, and the page on which a person asks it."""
