#!/usr/bin/env python3
"""Makes tests/golden/smollm2/: what the reference and transformers compute on
SmolLM2-135M-Instruct. README.md says what each file is.

    python3 tests/golden/make_smollm2_golden.py MODEL.gguf [--training]
    python3 tests/golden/make_smollm2_golden.py MODEL.gguf --rows-from TEXT

The token rows are committed and are an input; --rows-from makes new ones.
Without --training only expected.json is made (minutes); with it only
curves.json (an hour on one core). Needs the versions in requirements.txt.
"""
import argparse
import pathlib

import gguf
import tokenizers
import torch
import transformers
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

import reference as ref
import reference_training as training
from reference_files import load_gguf, save_tensors, write_json

OUT = pathlib.Path(__file__).parent / 'smollm2'
SEQ_LEN = 512
ROWS = 42  # two for the losses, then 40 to train on
LOGIT_POSITIONS = (0, 1, 17, 63, 64, 200, 450, 511)
TRANSFER_LR, FINETUNE_LR, LORA_RANK, LORA_ALPHA = 1e-2, 1e-4, 8, 16


def make_rows(model_path, text_path):
    """Packs a text's tokens, digits split singly, into ROWS rows."""
    fields = gguf.GGUFReader(model_path).fields
    vocab = fields['tokenizer.ggml.tokens'].contents()
    merges = fields['tokenizer.ggml.merges'].contents()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(
        {t: i for i, t in enumerate(vocab)},
        [tuple(m.split(' ')) for m in merges]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Digits(individual_digits=True),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)])
    ids = tokenizer.encode(pathlib.Path(text_path).read_text('utf-8')).ids
    need = ROWS * (SEQ_LEN + 1)
    assert len(ids) >= need, f'{text_path} has {len(ids)} tokens, not {need}'
    save_tensors(OUT / 'rows.safetensors', {'tokens': torch.tensor(
        ids[:need], dtype=torch.float32).view(ROWS, SEQ_LEN + 1)})


def transformers_logits(model, tokens):
    """A fresh LlamaForCausalLM with the dequantised weights, float64."""
    c = model.config
    config = LlamaConfig(
        **{n: c[n] for n in (
            'num_hidden_layers', 'hidden_size', 'intermediate_size',
            'num_attention_heads', 'num_key_value_heads', 'rms_norm_eps',
            'max_position_embeddings', 'tie_word_embeddings', 'vocab_size')},
        rope_parameters={'rope_type': 'default', 'rope_theta': c['rope_theta']})
    with torch.device('meta'):
        hf = LlamaForCausalLM(config)
    hf = hf.to_empty(device='cpu').to(torch.float64)
    hf.model.rotary_emb.__init__(config)
    weights = dict(model.weights)
    weights['lm_head.weight'] = weights['model.embed_tokens.weight']
    hf.load_state_dict(weights)
    with torch.no_grad():
        return hf.eval()(tokens, use_cache=False).logits


def make_expected(model, rows):
    tokens, targets = rows[:2, :-1], rows[:2, 1:]
    model.initial_student()
    theirs = transformers_logits(model, tokens)
    with torch.no_grad():
        ours = model.forward(tokens, ref.Attention())
    expected = {
        'made_with': {m.__name__: m.__version__ for m in (torch, transformers)},
        'transformers_loss': ref.token_losses(theirs, targets).mean(1).tolist(),
        'logits_max_difference_of_reference':
            (theirs - ours).abs().max().item(),
        'logits_norm': theirs.norm(dim=-1).mean().item(),
    }
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, model.config['vocab_size'], (64,),
                        generator=generator)
    expected['logits'] = {
        'row': 0, 'positions': list(LOGIT_POSITIONS), 'ids': ids.tolist(),
        'values': theirs[0][list(LOGIT_POSITIONS)][:, ids].tolist(),
        'top5': theirs[0][list(LOGIT_POSITIONS)].topk(5).indices.tolist()}
    expected['losses'] = []
    for sinks in (0, 4):
        attention = ref.Attention(window=64, sinks=sinks)
        case = {'window': 64, 'sinks': sinks, 'seq_len': SEQ_LEN, 'rows': 2}
        case['modes'] = ref.mode_losses(model, rows[:2], attention, batch=1)
        case['masses'] = case['modes'].pop('masses')
        expected['losses'].append(case)
    return expected


def make_curves(model, rows):
    """Three steps a stage at the demo's batch, and twenty of one row."""
    def log(stage, step, loss):
        print(stage, step, loss, flush=True)
    curves = {'window': 64, 'sinks': 0, 'seq_len': SEQ_LEN, 'first_row': 2,
              'transfer_lr': TRANSFER_LR, 'finetune_lr': FINETUNE_LR,
              'lora_rank': LORA_RANK, 'lora_alpha': LORA_ALPHA, 'runs': []}
    lora = training.hashed_lora(model.lora_shapes(LORA_RANK))
    for batch, steps in ((4, 3), (1, 20)):
        model.student.clear()
        model.initial_student()
        model.set_student({**model.student, **lora}, LORA_ALPHA)
        run = training.Training(model, ref.Attention(window=64), batch,
                                micro_batch=1)
        curves['runs'].append({
            'batch': batch, 'steps': steps,
            'transfer': run.run('transfer', rows[2:], steps, TRANSFER_LR,
                                log=log),
            'finetune': run.run('finetune', rows[2:], steps, FINETUNE_LR,
                                log=log)})
    return curves


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('model')
    parser.add_argument('--rows-from', metavar='TEXT')
    parser.add_argument('--training', action='store_true')
    options = parser.parse_args()
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    if options.rows_from:
        make_rows(options.model, options.rows_from)
        return
    rows = load_file(OUT / 'rows.safetensors')['tokens'].long()
    model = load_gguf(options.model)
    if options.training:
        write_json(OUT / 'curves.json', make_curves(model, rows))
    else:
        write_json(OUT / 'expected.json', make_expected(model, rows))


if __name__ == '__main__':
    main()
