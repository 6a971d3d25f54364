"""A real llama.cpp with the demo's weights, in a process of its own: `running.llama_cpp` starts it."""

import signal
import sys

import xllamacpp

from vedette.demo.server import MODEL, weights


def serve(port: int, slots: int, threads: int, context_tokens: int) -> None:
    """Serve, never asleep, until told to stop."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.model_alias = MODEL if isinstance(parameters.model_alias, str) else [MODEL]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_ctx, parameters.n_parallel = context_tokens, slots
    parameters.endpoint_metrics = parameters.endpoint_slots = parameters.endpoint_props = True
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(parameters)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
