"""Profiles: settings, strict YAML, overrides, rules between settings, messages, writing."""
