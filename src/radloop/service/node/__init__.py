"""The DICOM node: what arrives from scanners and a PACS, and what is sent back to them."""
