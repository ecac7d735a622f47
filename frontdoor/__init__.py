"""The front door: what ./culvert does, one module a command. Runs no experiment itself."""
