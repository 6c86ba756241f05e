"""How fast this machine computes a profile: probes of a training, and of many variants."""
