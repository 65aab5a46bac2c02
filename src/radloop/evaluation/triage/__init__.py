"""The benefit of triage: a reading room with and without a model, simulated and by queueing theory.

`scenario` says what a room is, `studies` draws what arrives, `priority` says who is read first,
`queue` lets readers read, `benefit` compares both rooms, `theory` and `expected` hold the closed
forms that the simulation is checked against.
"""
