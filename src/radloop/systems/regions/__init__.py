"""The reusable part of systems that look twice: find regions on a film, judge what is in them."""
