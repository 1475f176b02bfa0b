"""Tools around the compiler: test models, tickets, comparisons. numpy, onnx and onnxruntime only."""
