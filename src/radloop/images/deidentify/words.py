"""The words that descriptions may keep (clean descriptors option): anatomy, techniques, planes.

Everything else in a description is dropped, names that look like words included.
"""

from __future__ import annotations

import re

_WORDS = """
    1d 2d 3d 4d abdomen adc angio ankle ap arm arterial artery axial b0 b1000 blood body bone
    brain breast bronchi calvarium cardiac carotid cervical chest clavicle coronal coronary cr
    ct cta ctp delayed dental diffusion dixon dr dual dwi dx ear early ecg echo elbow epi
    expiration extremity face fast fat femur field finger flair flow foot forearm fov gradient
    hand head heart helical hip hr hrct humerus iac inspiration inversion ir iv ivc jaw kernel
    kidney knee lat late lateral left leg lesion liver localizer lower lumbar lung lungs
    mandible map maxilla mediastinum mip mm mpr mr mra mri mrv native neck non noncontrast ob
    oblique orbit orbits pa pancreas panorama panoramic parallel pelvis perfusion phase plain
    portable portal post posterior pre prone protocol proton radius recon reconstruction
    resolution rest rib ribs right routine sagittal scan scout sella sequence series shoulder
    sinus sinuses skull slice soft spin spine spiral stack standard sternum stir stress study
    supine sweep swi t1 t1w t2 t2w teeth temporal thick thigh thin thoracic thorax tibia
    tissue toe tof tooth trace trauma tse turbo ulna ultrasound upper upright us venous view
    volume whole window with without wo wrist xray
"""
ALLOWED = frozenset(_WORDS.split())
_TOKENS = re.compile(r"[a-z]+[0-9]*[a-z]*|[0-9]d", re.IGNORECASE)


def cleaned(description: str) -> str:
    """The allowed words of a description, in their order: "CT head, Mr Miller" -> "CT head"."""
    return " ".join(word for word in _TOKENS.findall(description) if word.lower() in ALLOWED)
