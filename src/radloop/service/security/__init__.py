"""Who may do what, and who did: accounts, sessions, tokens, limits, and the audit log.

Nothing here knows a page or a route. `schema.py` holds the tables; each other file does one thing
to them, and takes the time as an argument where time decides.
"""
