"""A clearly weaker and faster relative of a model: the same weights with most of their layers left out.

Made from the weights at hand, so that a test has two real models of different quality without a download. With a
few of its layers SmolLM2 still writes words, quickly, and gets nearly everything wrong.
"""

import re
from pathlib import Path

import gguf

_BLOCK = re.compile(r"blk\.(\d+)\.")


def prune(source: Path, target: Path, *, keep: int) -> Path:
    """Write the GGUF file *source* to *target* with its first *keep* blocks alone; return *target*."""
    reader = gguf.GGUFReader(source)
    architecture = str(reader.fields["general.architecture"].contents())
    writer = gguf.GGUFWriter(target, architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = keep if name == f"{architecture}.block_count" else field.contents()
        kind, *of = field.types
        writer.add_key_value(name, value, kind, of[-1] if of else None)
    for tensor in reader.tensors:
        block = _BLOCK.match(tensor.name)
        if block is None or int(block[1]) < keep:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
