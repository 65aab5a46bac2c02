"""From a folder of DICOM files to volumes whose geometry can be trusted.

`headers` reads what each slice says of itself, `series` groups and orders the slices, `layout`
judges whether they make a volume, `assemble` decodes them onto one grid.
"""
