"""Multiple sclerosis lesions on brain MRI: the method of stroke on another disease.

FLAIR leads, since its lesions are outlined there; the lesions are many and small.
"""

from __future__ import annotations

from radloop.systems.lesions.system import LesionSystem
from radloop.systems.stroke import Stroke


class MultipleSclerosis(LesionSystem):
    """How many demyelinating lesions are in this brain, where, and how large?"""

    name = "multiple_sclerosis"
    title = "Multiple sclerosis lesions"
    question = "Which demyelinating lesions are on this brain MRI, where, and how large?"
    leading = ("flair", "t2", "t1")
    finding = "ms_lesion"
    presets = Stroke.presets
