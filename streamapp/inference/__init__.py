"""How a model runs: ONNX Runtime, tokenizers, threads."""
