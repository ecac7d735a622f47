"""Executes plans on Linux: networks of namespaces, emulated links, NATs and daemons."""
