"""ONNX: a denoiser, or all the way from noise to pixels, in one file.

`torch.onnx` turns the denoiser into a graph; `pipeline` puts guidance, the sampler's loop and the
pixels around it, written in ONNX itself. So whoever has onnxruntime and numpy gets pictures.
"""
