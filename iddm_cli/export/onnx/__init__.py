"""Export to ONNX: the denoiser, or the whole pipeline from noise to pixels, in one file.

`torch.onnx` converts the denoiser to a graph; `pipeline.py` adds guidance, the sampler's loop and
the conversion to pixels in ONNX itself. Running the file needs only onnxruntime and numpy.
"""
