"""What images are sampled with: profile, precision, and the weaker model of autoguidance."""
