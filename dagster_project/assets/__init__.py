"""The asset graph, one module per group: each asset is a stage that calls one function."""
