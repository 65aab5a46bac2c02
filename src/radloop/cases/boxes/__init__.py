"""Boxes on films: the value, the three formats people have them in, and their importers."""
