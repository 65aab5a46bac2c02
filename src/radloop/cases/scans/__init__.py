"""Importers of volumes of several channels."""
