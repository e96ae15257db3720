"""The trained network for other uses: ONNX, LiteRT."""
