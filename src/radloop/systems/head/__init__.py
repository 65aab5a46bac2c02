"""Parts of the systems that read head CT: its grey scale, its pose, its gate, its bleeds."""
