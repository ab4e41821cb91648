"""The accidents of the engine's rules, one module per rule: what each rule prevents is provoked on a whole Connector.

Every test says which removal makes it fail.
"""
