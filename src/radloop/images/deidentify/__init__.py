"""De-identification by the basic profile of DICOM PS3.15 Annex E, with its usual options.

`profile` says what happens to which attribute, `pseudonyms` what takes an original's place,
`dataset` walks through one object, `burned_in` looks for text in its pixels, `folder` does it for
all files of a folder.
"""
