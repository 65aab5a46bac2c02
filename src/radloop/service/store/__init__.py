"""What the service keeps: one database, and a folder of files under the hash of their content."""
