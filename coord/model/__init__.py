"""The shared vocabulary: paths, znodes, ACLs, requests, commands, events, errors, limits.

Pure values without I/O, clock or randomness; imported by everybody, imports nobody. What a client
asks for is in ``requests``; what enters the log is in ``commands``; what apply did is in
``events``; every refusal is in ``errors``; every bound is in ``limits``.
"""
