"""How good a network is on pictures it never saw: metrics, intervals, slices, plots, the report."""
