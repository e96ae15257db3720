"""The trained network for other uses: ONNX, and LiteRT where `pawprint[litert]` is installed."""
