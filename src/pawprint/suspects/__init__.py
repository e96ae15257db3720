"""Labels that are probably wrong, found by networks that did not learn from them."""
