"""Models and tensors of the golden scripts, from and to files."""
import json
import math
import os
import pathlib

import torch
from safetensors.torch import load_file, save_file

from reference import Model


def load_hf(folder, dtype=torch.float64):
    folder = pathlib.Path(folder)
    config = json.loads((folder / 'config.json').read_text())
    return Model(config, load_file(folder / 'model.safetensors'), dtype)


def load_gguf(path, dtype=torch.float64):
    """A llama GGUF, dequantised, with the q/k row permutation undone."""
    import gguf
    reader = gguf.GGUFReader(path)

    def field(key):
        return reader.fields[key].contents()
    H, Hkv = (field('llama.attention.head_count' + s) for s in ('', '_kv'))
    config = {
        'num_hidden_layers': field('llama.block_count'),
        'hidden_size': field('llama.embedding_length'),
        'intermediate_size': field('llama.feed_forward_length'),
        'num_attention_heads': H, 'num_key_value_heads': Hkv,
        'rms_norm_eps': field('llama.attention.layer_norm_rms_epsilon'),
        'rope_theta': field('llama.rope.freq_base'),
        'max_position_embeddings': field('llama.context_length'),
    }
    names = {'token_embd': 'model.embed_tokens', 'output_norm': 'model.norm',
             'output': 'lm_head', 'attn_norm': 'input_layernorm',
             'ffn_norm': 'post_attention_layernorm',
             'attn_q': 'self_attn.q_proj', 'attn_k': 'self_attn.k_proj',
             'attn_v': 'self_attn.v_proj', 'attn_output': 'self_attn.o_proj',
             'ffn_gate': 'mlp.gate_proj', 'ffn_up': 'mlp.up_proj',
             'ffn_down': 'mlp.down_proj'}
    weights = {}
    for t in reader.tensors:
        w = torch.from_numpy(gguf.dequantize(t.data, t.tensor_type).copy())
        parts = t.name.removesuffix('.weight').split('.')
        if parts[-1] in ('attn_q', 'attn_k'):
            heads = H if parts[-1] == 'attn_q' else Hkv
            w = w.reshape(heads, w.shape[0] // heads // 2, 2, -1).transpose(
                1, 2).reshape(w.shape)
        prefix = f'model.layers.{parts[1]}.' if parts[0] == 'blk' else ''
        weights[f'{prefix}{names[parts[-1]]}.weight'] = w.contiguous()
    config['tie_word_embeddings'] = 'lm_head.weight' not in weights
    config['vocab_size'] = weights['model.embed_tokens.weight'].shape[0]
    return Model(config, weights, dtype)


def save_tensors(path, tensors):
    """float64 is stored as float32; everything else as it is."""
    save_file({n: (t.float() if t.is_floating_point() else t).detach()
               .contiguous().clone() for n, t in tensors.items()}, path)
    os.chmod(path, 0o644)


def write_json(path, value):
    """NaN (a mean over nothing) becomes null."""
    def clean(v):
        if isinstance(v, dict):
            return {n: clean(x) for n, x in v.items()}
        if isinstance(v, list):
            return [clean(x) for x in v]
        return None if isinstance(v, float) and math.isnan(v) else v
    text = json.dumps(clean(value), indent=1, allow_nan=False)
    pathlib.Path(path).write_text(text + '\n')
