"""The ONNX exporter: build the file, then verify it with onnxruntime."""

from iddm_cli.export.formats import ExportArtifact, Progress
from iddm_cli.export.onnx.check import check_onnx_model
from iddm_cli.export.onnx.model_proto import build_onnx_model
from iddm_cli.export.onnx.options import OnnxOptions, Part, Precision
from iddm_cli.export.trained_model import TrainedModel, describe_weaker, list_guide


def export_onnx(
    model: TrainedModel, *, part: Part, precision: Precision, opset: int, progress: Progress
) -> ExportArtifact:
    """Export a model as one ONNX file.

    Args:
        model: The model.
        part: See OnnxOptions.
        precision: See OnnxOptions.
        opset: See OnnxOptions.
        progress: Shows what is under way.

    Raises:
        UsageError: The model is larger than an ONNX file can be.
        IddmError: The file is not valid ONNX, or generates other images than PyTorch.
    """
    options = OnnxOptions(part, precision, opset)
    with progress("exporting"):
        proto = build_onnx_model(model, options)
    with progress("comparing the images of onnxruntime with those of PyTorch"):
        agreement = check_onnx_model(model, proto, options)
    details = {
        "part": part,
        "precision": precision,
        "opset": opset,
        "within_one": agreement.within_one,
        "mean_difference": agreement.mean,
        "largest_difference": agreement.largest,
    }
    summary = f"{agreement}{describe_weaker(model)}"
    return ExportArtifact(
        proto.SerializeToString(), summary=summary, details=details | list_guide(model)
    )
