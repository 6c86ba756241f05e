"""The mathematics: noise schedules, the denoiser, guidance and samplers."""
