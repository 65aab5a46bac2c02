"""Judge a model: measures over predictions and references, the report, two models compared."""
