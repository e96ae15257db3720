"""The trained network for other uses: ONNX, and LiteRT where `pawprint-classifier[litert]` is installed."""
