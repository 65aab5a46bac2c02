"""DICOMweb: studies in and out over HTTP, as a server for the web application and as a client."""
