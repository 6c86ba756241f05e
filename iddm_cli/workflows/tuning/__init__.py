"""`iddm tune-sampler`: fit samplers of few calls to a trained run."""
