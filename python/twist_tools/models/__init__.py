"""ONNX files of small transformers written with onnx.helper, in the manner of several exporters."""
