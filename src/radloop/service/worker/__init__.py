"""Workers: they claim jobs, read series with models that stay open, and send what came of it."""
