"""Radloop: machine learning on medical images, from study to finding to the next, better model.

Research software, not a medical device.
"""

__version__ = "0.1.0"
