"""Reduced precision: sampling in bf16 or fp16, such that an image still has bits of its own."""
