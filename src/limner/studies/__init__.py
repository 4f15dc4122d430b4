"""Train and measure many generators, write one report."""
