"""Findings as DICOM objects: a structured report, a segmentation, a presentation state and a
picture, as IHE AI Results (AIR) describes. `objects.py` is the door."""
