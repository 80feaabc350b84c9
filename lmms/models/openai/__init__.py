"""Back end for endpoints that speak OpenAI's HTTP protocol: OpenAI, vLLM, SGLang, llama.cpp, …

Chat-templated requests go to `/chat/completions`, raw ones to `/completions`; log-likelihoods need
an endpoint whose `/completions` returns the probabilities of the prompt (`echo` with `logprobs`).
`options.EndpointOptions` lists what `model.kwargs` may hold.
"""

from __future__ import annotations

from lmms.models.openai.backend import OpenAIModel, create

__all__ = ["OpenAIModel", "create"]
