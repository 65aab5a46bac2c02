"""Several readers, several cases: accuracy that holds for other readers and other cases too."""
