"""Faults around the steps of a swap, for worker_with_faults.py: a kill after each, and a version that is slow."""

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from streamapp.agents import batch_gate, serving, shadow_run
from streamapp.inference import model_loader, onnx_model

SWAP_POINTS = ("model-fetched", "model-loaded", "model-shadowed", "swap-drained", "model-exchanged")
# What worker_with_faults.py sees as deliveries.
PAIRS_KEY = b"swap-pairs"
MEGABYTE = bytes(1 << 20)


def trap_swaps(pass_now: Callable[[str], None]) -> None:
    """Call `pass_now` with the point after each step; points that are deliveries are trapped with the others."""
    bundle_of, load = model_loader.ModelLoader.bundle_of, model_loader.ModelLoader.load
    compare, put, shut = shadow_run.ShadowRun.run, serving.Serving.put, batch_gate.BatchGate.shut

    def fetched(self: Any, champion: Any) -> Any:
        bundle = bundle_of(self, champion)
        pass_now("model-fetched")
        return bundle

    def loaded(self: Any, bundle: Any) -> Any:
        model = load(self, bundle)
        pass_now("model-loaded")
        return model

    async def compared(self: Any) -> Any:
        shadow = await compare(self)
        pass_now("model-shadowed")
        return shadow

    @asynccontextmanager
    async def drained(self: Any) -> AsyncIterator[None]:
        async with shut(self):
            pass_now("swap-drained")
            yield

    def exchanged(self: Any, *arguments: Any) -> None:
        put(self, *arguments)
        pass_now("model-exchanged")

    model_loader.ModelLoader.bundle_of = fetched  # type: ignore[method-assign]
    model_loader.ModelLoader.load = loaded  # type: ignore[method-assign]
    shadow_run.ShadowRun.run = compared  # type: ignore[method-assign]
    batch_gate.BatchGate.shut = drained  # type: ignore[method-assign]
    serving.Serving.put = exchanged  # type: ignore[method-assign,assignment]


def slow_version(version: str, seconds: str) -> None:
    """The model of that version takes so much longer for every forward pass of a thread that serves."""
    run = onnx_model.OnnxModel.run

    def slowed(self: Any, tokens: Any) -> Any:
        if self.version == version:
            until = time.thread_time() + float(seconds)
            while time.thread_time() < until:
                hashlib.sha256(MEGABYTE)  # computes, which alone is held against a model, and lets others run
        return run(self, tokens)

    onnx_model.OnnxModel.run = slowed  # type: ignore[method-assign]
