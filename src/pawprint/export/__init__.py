"""The trained network for other uses: ONNX, and LiteRT with the extra `litert`."""
