"""The pages of the reading room: `app.create_app` puts them together."""
