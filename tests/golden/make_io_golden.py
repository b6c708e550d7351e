#!/usr/bin/env python3
"""Writes the model files under io/ and io/golden.txt, what they decode to.

Usage: make_io_golden.py [FOLDER]     (default: io/ beside this script)

Made with gguf 0.19.0, safetensors 0.8.0, torch 2.15.0, transformers 5.23.0,
numpy 2.4.6 (requirements.txt); versions near these write the same bytes.

golden.txt has one fact a line:
    tensor FIXTURE NAME CRC32    CRC-32 of the tensor's fp32 values in Hugging
                                 Face's layout, as decoded by the gguf package
                                 or torch
    inv_freq CASE BITS...        rotary frequencies by transformers, as the
                                 bits of fp32
"""

import json
import pathlib
import sys
import zlib

import gguf
import numpy as np
import torch
from gguf.quants import dequantize, quantize
from safetensors.torch import save_file
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 32, 32, 4, 2, 8, 24
TYPES = gguf.GGMLQuantizationType


def random_weights(rng, layers, tied):
    """Hugging Face names -> fp32 arrays."""
    shapes = {"model.embed_tokens.weight": (VOCAB, HIDDEN)}
    for i in range(layers):
        layer = f"model.layers.{i}."
        shapes |= {
            layer + "input_layernorm.weight": (HIDDEN,),
            layer + "self_attn.q_proj.weight": (HEADS * HEAD_DIM, HIDDEN),
            layer + "self_attn.k_proj.weight": (KV_HEADS * HEAD_DIM, HIDDEN),
            layer + "self_attn.v_proj.weight": (KV_HEADS * HEAD_DIM, HIDDEN),
            layer + "self_attn.o_proj.weight": (HIDDEN, HEADS * HEAD_DIM),
            layer + "post_attention_layernorm.weight": (HIDDEN,),
            layer + "mlp.gate_proj.weight": (FEED_FORWARD, HIDDEN),
            layer + "mlp.up_proj.weight": (FEED_FORWARD, HIDDEN),
            layer + "mlp.down_proj.weight": (HIDDEN, FEED_FORWARD),
        }
    shapes["model.norm.weight"] = (HIDDEN,)
    if not tied:
        shapes["lm_head.weight"] = (VOCAB, HIDDEN)
    return {
        name: rng.normal(0, 0.1, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def gguf_name(name):
    whole = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    parts = {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    if name in whole:
        return whole[name]
    _, _, layer, *inside, _ = name.split(".")
    return f"blk.{layer}.{parts['.'.join(inside)]}.weight"


def interleave(weights, heads):
    """The row order of Llama's q and k in GGUF files."""
    rows = weights.shape[0]
    return (
        weights.reshape(heads, 2, rows // heads // 2, -1)
        .swapaxes(1, 2)
        .reshape(weights.shape)
    )


class Golden:
    def __init__(self):
        self.lines = []

    def tensor(self, fixture, name, values):
        values = np.ascontiguousarray(values, dtype="<f4")
        crc = zlib.crc32(values.tobytes())
        self.lines.append(f"tensor {fixture} {name} {crc:08x}")

    def inv_freq(self, case, values):
        bits = np.asarray(values, dtype="<f4").view("<u4")
        self.lines.append(
            f"inv_freq {case} " + " ".join(f"{b:08x}" for b in bits)
        )


def new_llama_gguf(path, layers):
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(layers)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(100000.0)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    return writer


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_gguf_model(path, golden, rng, layers, tied, types, rope_freqs=None):
    """`types` maps the end of a Hugging Face name to an encoding."""
    writer = new_llama_gguf(path, layers)
    for name, values in random_weights(rng, layers, tied).items():
        encoding = TYPES.F32
        for part, wanted in types.items():
            if part in name:
                encoding = wanted
        # Rows are encoded one by one, so the golden needs no permutation.
        golden.tensor(
            path.name, name, dequantize(quantize(values, encoding), encoding)
        )
        if "q_proj" in name:
            values = interleave(values, HEADS)
        if "k_proj" in name:
            values = interleave(values, KV_HEADS)
        data = quantize(values, encoding)
        writer.add_tensor(gguf_name(name), data, raw_dtype=encoding)
    if rope_freqs is not None:
        writer.add_tensor("rope_freqs.weight", rope_freqs)
    finish(writer)


def write_encodings(path, golden, rng):
    """A file that is no model: each encoding, and each metadata type."""
    writer = gguf.GGUFWriter(str(path), "none")
    writer.add_uint8("test.u8", 250)
    writer.add_int8("test.i8", -7)
    writer.add_uint16("test.u16", 65000)
    writer.add_int16("test.i16", -30000)
    writer.add_uint32("test.u32", 4000000000)
    writer.add_int32("test.i32", -2000000000)
    writer.add_uint64("test.u64", 2**63 + 5)
    writer.add_int64("test.i64", -(2**62))
    writer.add_float32("test.f32", 0.1)
    writer.add_float64("test.f64", 0.1)
    writer.add_bool("test.bool", True)
    writer.add_string("test.string", "caf\u00e9 \u20ac")
    writer.add_array("test.strings", ["", "a", "\u0120the", "\n"])
    writer.add_array("test.ints", [3, -1, 4])
    writer.add_array("test.floats", [0.5, -2.25])
    writer.add_array("test.bools", [True, False, True])
    for encoding in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"):
        values = rng.normal(0, 1, (3, 96)).astype(np.float32)
        data = quantize(values, TYPES[encoding])
        writer.add_tensor(encoding, data, raw_dtype=TYPES[encoding])
        golden.tensor(path.name, encoding, dequantize(data, TYPES[encoding]))
    # The package decodes Q6_K but does not encode it: any bits with finite
    # scales will do.
    blocks = rng.integers(0, 256, (2, 2, 210), dtype=np.uint8)
    scales = rng.normal(0, 0.01, (2, 2, 1)).astype(np.float16)
    blocks[:, :, 208:] = scales.view(np.uint8)
    blocks = blocks.reshape(2, 420)
    writer.add_tensor("Q6_K", blocks, raw_dtype=TYPES.Q6_K)
    golden.tensor(path.name, "Q6_K", dequantize(blocks, TYPES.Q6_K))
    finish(writer)


def base_config(layers, tied):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "hidden_act": "silu",
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-05,
        "tie_word_embeddings": tied,
        "vocab_size": VOCAB,
        "attention_bias": False,
        "bos_token_id": 1,
    }


def write_hf(folder, golden, rng, layers, tied, dtypes, shards, config):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {}
    for i, (name, values) in enumerate(
        random_weights(rng, layers, tied).items()
    ):
        tensor = torch.from_numpy(values).to(dtypes[i % len(dtypes)])
        tensors[name] = tensor.contiguous()
        golden.tensor(folder.name, name, tensor.float().numpy())
    if shards == 1:
        save_file(
            tensors, folder / "model.safetensors", metadata={"format": "pt"}
        )
        return
    names = list(tensors)
    weight_map, total = {}, 0
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[shard::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= {name: file for name in part}
        total += sum(t.numel() * t.element_size() for t in part.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps(index, indent=2, sort_keys=True) + "\n"
    )


def rope_goldens(golden):
    cases = {
        "default": {"rope_type": "default", "rope_theta": 10000.0},
        "smollm2": {"rope_type": "default", "rope_theta": 100000.0},
        "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0},
        "llama3": {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    }
    for case, parameters in cases.items():
        config = LlamaConfig(
            hidden_size=128,
            num_attention_heads=2,
            max_position_embeddings=131072,
            rope_parameters=parameters,
        )
        if parameters["rope_type"] == "default":
            exponents = torch.arange(0, 64, 2, dtype=torch.int64).float() / 64
            values = 1.0 / parameters["rope_theta"] ** exponents
        else:
            function = ROPE_INIT_FUNCTIONS[parameters["rope_type"]]
            values, _ = function(config, torch.device("cpu"))
        golden.inv_freq(case, values.float().numpy())


def main():
    here = pathlib.Path(__file__).resolve().parent
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "io"
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20240501)
    golden = Golden()
    write_encodings(out / "encodings.gguf", golden, rng)
    write_gguf_model(
        out / "mixed.gguf",
        golden,
        rng,
        layers=2,
        tied=False,
        types={
            "embed_tokens": TYPES.Q8_0,
            "q_proj": TYPES.Q4_1,
            "k_proj": TYPES.Q4_0,
            "v_proj": TYPES.Q8_0,
            "o_proj": TYPES.F16,
            "gate_proj": TYPES.Q4_1,
            "up_proj": TYPES.BF16,
            "down_proj": TYPES.Q4_0,
            "lm_head": TYPES.F16,
        },
    )
    write_gguf_model(
        out / "tied.gguf",
        golden,
        rng,
        layers=1,
        tied=True,
        types={"_proj": TYPES.Q8_0, "embed_tokens": TYPES.BF16},
        rope_freqs=np.array([1, 1, 2.5, 8], dtype=np.float32),
    )
    # As transformers 5 writes it, and as transformers 4 did.
    config = base_config(2, tied=False) | {
        "dtype": "bfloat16",
        "eos_token_id": [2, 3],
        "head_dim": HEAD_DIM,
        "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"},
    }
    write_hf(
        out / "hf_sharded",
        golden,
        rng,
        layers=2,
        tied=False,
        dtypes=[torch.bfloat16, torch.float16],
        shards=3,
        config=config,
    )
    config = base_config(1, tied=True) | {
        "torch_dtype": "float16",
        "eos_token_id": 2,
        "rope_theta": 500000.0,
        "rope_scaling": {
            "factor": 8.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
    }
    write_hf(
        out / "hf_single",
        golden,
        rng,
        layers=1,
        tied=True,
        dtypes=[torch.float16, torch.float16, torch.float32],
        shards=1,
        config=config,
    )
    rope_goldens(golden)
    (out / "golden.txt").write_text("\n".join(golden.lines) + "\n")


if __name__ == "__main__":
    main()
