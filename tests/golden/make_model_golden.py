#!/usr/bin/env python3
"""Makes tests/golden/model/: two tiny Llamas of random weights and what the
reference computes on them. README.md says what each file is;
make_method_golden.py adds the files method*.

    python3 tests/golden/make_model_golden.py

Needs the versions in requirements.txt. Deterministic: seeds are below, and all
maths is float64 stored as float32.
"""
import json
import pathlib

import numpy as np
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import reference as ref
import reference_training as training
from reference_files import load_hf, save_tensors, write_json

OUT = pathlib.Path(__file__).parent / 'model'
SEQ_LEN = 48  # tokens a row is scored on
ROWS = 80  # 40 steps of 2 rows
LORA_RANK, LORA_ALPHA = 4, 8
SHAPES = {
    'tiny_gqa': dict(
        vocab_size=320, hidden_size=64, intermediate_size=96,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=16, max_position_embeddings=512, rms_norm_eps=1e-5,
        tie_word_embeddings=False, bos_token_id=0, eos_token_id=0,
        rope_theta=10000.0),
    # head_dim is not hidden_size / heads here.
    'tiny_tied': dict(
        vocab_size=288, hidden_size=48, intermediate_size=80,
        num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
        head_dim=32, max_position_embeddings=512, rms_norm_eps=1e-5,
        tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
        rope_theta=100000.0),
}
# Sentences for the tiny tokenizer's merges.
TOKENIZER_TEXT = '''The quick brown fox jumps over the lazy dog. A window that
slides over the text sees the last tokens; a state that is carried along
remembers the rest. The past is long, and the state is small. In 1905 there
were 12 of them, and in 2024 there are 365. Then the other part of the text is
there for the reader, and that is all that there is to it.
'''


def make_weights(model, seed):
    """Random weights whose attention is far from uniform, so that the modes'
    losses differ."""
    generator = torch.Generator().manual_seed(seed)
    scales = {'embed_tokens': 0.5, 'lm_head': 0.25, 'q_proj': 0.18,
              'k_proj': 0.18, 'v_proj': 0.2, 'o_proj': 0.2, 'gate_proj': 0.15,
              'up_proj': 0.15, 'down_proj': 0.1}
    for name, p in model.named_parameters():
        part = name.split('.')[-2]
        draw = torch.randn(p.shape, generator=generator)
        with torch.no_grad():
            p.copy_(1 + 0.1 * draw if part.endswith('norm')
                    else scales[part] * draw)


def make_model(name, seed):
    folder = OUT / name
    fields = dict(SHAPES[name])
    theta = fields.pop('rope_theta')
    config = LlamaConfig(
        **fields, rope_parameters={'rope_type': 'default', 'rope_theta': theta})
    model = LlamaForCausalLM(config)
    make_weights(model, seed)
    if name == 'tiny_tied':
        model = model.to(torch.bfloat16)
    model.save_pretrained(folder)
    (folder / 'generation_config.json').unlink(missing_ok=True)
    if name == 'tiny_tied':  # config.json as transformers 4 wrote it
        (folder / 'config.json').write_text(json.dumps({
            'architectures': ['LlamaForCausalLM'], 'attention_bias': False,
            'attention_dropout': 0.0, **fields, 'hidden_act': 'silu',
            'initializer_range': 0.02, 'mlp_bias': False,
            'model_type': 'llama', 'pretraining_tp': 1, 'rope_scaling': None,
            'rope_theta': theta, 'torch_dtype': 'bfloat16',
            'transformers_version': '4.46.3', 'use_cache': True,
        }, indent=2, sort_keys=True) + '\n')


def make_tokenizer(folder, vocab_size):
    """A byte-level BPE of SmolLM2's kind."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel(
        add_prefix_space=True, trim_offsets=True, use_regex=True)
    tokenizer.train_from_iterator([TOKENIZER_TEXT], trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=['<|endoftext|>'],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False))
    assert tokenizer.get_vocab_size() == vocab_size
    tokenizer.save(str(folder / 'tokenizer.json'))
    (folder / 'tokenizer_config.json').write_text(json.dumps({
        'add_prefix_space': False, 'bos_token': '<|endoftext|>',
        'eos_token': '<|endoftext|>', 'model_max_length': 512,
        'tokenizer_class': 'GPT2Tokenizer', 'unk_token': '<|endoftext|>',
    }, indent=2) + '\n')


def make_student(model, seed, features=None):
    """A student as after training: every tensor away from its initial value.
    Rounded to float32, so that what is stored is what was computed with."""
    generator = torch.Generator().manual_seed(seed)
    model.initial_student(features)
    tensors = dict(model.student)
    lora = training.kaiming_lora(model.lora_shapes(LORA_RANK), seed)
    for name in lora:  # B as large as A, so that adapters matter
        if name.endswith('.B'):
            lora[name] = torch.randn(lora[name].shape, generator=generator) / 16
    for name, t in tensors.items():
        scale = 0.5 if name.endswith('window_factor') else 0.3
        tensors[name] = t + scale * torch.randn(t.shape, generator=generator)
    tensors.update(lora)
    return {n: t.float() for n, t in tensors.items()}


def check_against_transformers(folder, model, rows):
    hf = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float64)
    with torch.no_grad():
        theirs = hf(rows[:, :-1], use_cache=False).logits
        ours = model.forward(rows[:, :-1], ref.Attention())
    # transformers computes RoPE's angles in float32.
    worst = (theirs - ours).abs().max().item()
    assert worst < 1e-4, worst
    return theirs, worst


def loss_case(model, rows, student, attention, note, documents=None):
    case = {'note': note, 'student': student, 'seq_len': rows.shape[1] - 1,
            'rows': len(rows), 'window': attention.window,
            'sinks': attention.sinks, 'window_kind': attention.kind,
            'affine': attention.affine,
            'reset_at_document': documents is not None}
    case['modes'] = ref.mode_losses(model, rows, attention,
                                    documents=documents)
    case['masses'] = case['modes'].pop('masses')
    return case


def make_loss_cases(model, students, rows, documents):
    cases = []

    def add(student, note, seq_len=SEQ_LEN, docs=None, **fields):
        if student == 'untrained':
            model.initial_student()
        else:
            model.set_student(students[student], LORA_ALPHA)
        cases.append(loss_case(model, rows[:4, :seq_len + 1], student,
                               ref.Attention(**fields), note, docs))
    for student in ('untrained', 'student'):
        for window in (8, 16):
            for sinks in (0, 4):
                add(student, 'sliding window', window=window, sinks=sinks)
    add('student', 'odd length', 41, window=8, sinks=4)
    add('student', 'odd window and sinks', 41, window=7, sinks=3)
    add('student', 'a window of one', window=1, sinks=0)
    add('student', 'nothing is outside the window', 41, window=64, sinks=0)
    add('student', 'more sinks than the window', window=4, sinks=12)
    add('student', 'affine', window=8, sinks=4, affine=True)
    add('student', 'terraced', window=8, sinks=0, kind='terraced')
    add('student', 'terraced with sinks', 41, window=8, sinks=4,
        kind='terraced')
    add('student', 'reset at documents', window=8, sinks=4,
        docs=documents[:4, :-1])
    add('wide_student', 'F = 2 D', window=8, sinks=4)
    return cases


def make_term_cases(model, rows, attention, seed):
    """Losses of term subsets: the 8 of attribution, and a random mode for every
    (layer, sample, head)."""
    tokens, targets = rows[:4, :-1], rows[:4, 1:]
    generator = torch.Generator().manual_seed(seed)
    shape = (model.layers, 4, model.H)

    def loss(terms):
        with torch.no_grad():
            return ref.token_losses(
                model.forward(tokens, attention, terms=terms),
                targets).mean(1).tolist()
    subsets = []
    for swa in (0, ref.NEAR | ref.NEAR_SINK):
        for sinks in (0, ref.FAR_SINK):
            for la in (0, ref.LINEAR_PAST):
                bits = swa | sinks | la
                subsets.append({'terms': bits, 'per_row': loss(
                    torch.full(shape, bits))})
    names = [m for m in ref.TERMS_OF_MODE if m != 'teacher_swa']
    mixed = torch.randint(0, len(names), shape, generator=generator)
    bits = torch.tensor([ref.TERMS_OF_MODE[n] for n in names])
    named = [[[names[m] for m in row] for row in layer] for layer in mixed]
    return {'window': attention.window, 'sinks': attention.sinks,
            'subsets': subsets,
            'mixed': {'modes': named, 'per_row': loss(bits[mixed])}}


def make_gradients(model, student, rows, mask):
    """-> (losses by case name, {case name/tensor name: gradient})."""
    model.set_student(student, LORA_ALPHA)
    rows, mask = rows[:2], mask[:2, 1:].double()
    sinks4 = dict(window=8, sinks=4)
    cases = {
        'transfer': ('transfer', 'hybrid', sinks4, None),
        'transfer_no_sinks': ('transfer', 'hybrid', dict(window=8), None),
        'hybrid': ('finetune', 'hybrid', sinks4, None),
        'hybrid_no_sinks': ('finetune', 'hybrid', dict(window=8), None),
        'hybrid_masked': ('finetune', 'hybrid', sinks4, mask),
        'hybrid_affine': ('finetune', 'hybrid', dict(sinks4, affine=True),
                          None),
        'hybrid_terraced': ('finetune', 'hybrid',
                            dict(sinks4, kind='terraced'), None),
        'swa_only': ('finetune', 'swa_only', sinks4, None),
        'la_only': ('finetune', 'la_only', sinks4, None),
        'la_past': ('finetune', 'la_past', sinks4, None),
        'sinks_only': ('finetune', 'sinks_only', sinks4, None),
        'softmax': ('finetune', 'softmax', sinks4, None),
    }
    losses, tensors = {}, {}
    for name, (stage, mode, fields, m) in cases.items():
        loss, grads = training.gradients(
            model, rows, ref.Attention(**fields), stage, mode, m)
        losses[name] = {'loss': loss, 'stage': stage, 'mode': mode, **fields}
        for n, g in grads.items():  # what cancels exactly leaves rounding
            tensors[f'{name}/{n}'] = g * (g.norm() > 1e-12)
    return losses, tensors


def make_curves(model, student, rows):
    """Both presets for 20 steps a stage, and the tensors after three steps of
    each stage."""
    attention = ref.Attention(window=8, sinks=0)
    lora = {n: t.float() for n, t in training.kaiming_lora(
        model.lora_shapes(LORA_RANK), 11).items()}
    tensors = {f'initial/{n}': t for n, t in lora.items()}
    curves = {'window': 8, 'sinks': 0, 'batch': 2, 'lora_rank': LORA_RANK,
              'lora_alpha': LORA_ALPHA, 'transfer_lr': 1e-2,
              'finetune_lr': 1e-3}

    def start(with_lora):
        model.initial_student()
        if with_lora:
            model.set_student({**model.student, **lora}, LORA_ALPHA)
        return training.Training(model, attention, batch=2)

    def keep(prefix):
        tensors.update({f'{prefix}/{n}': t.detach().clone()
                        for n, t in model.student.items()})
    start(False).run('transfer', rows, 3, 1e-2)
    keep('after_3_transfer')
    run = start(True)
    curves['lolcats'] = {
        'transfer': run.run('transfer', rows, 20, 1e-2),
        'finetune': run.run('finetune', rows, 20, 1e-3)}
    keep('after_lolcats')
    curves['swa_control'] = {'finetune': start(True).run(
        'finetune', rows, 20, 1e-3, 'swa_only')}
    for mode in ('hybrid', 'swa_only', 'la_only'):
        model.set_student(student, LORA_ALPHA)
        curves[f'from_student_{mode}'] = training.Training(
            model, attention, batch=2).run('finetune', rows, 3, 1e-3, mode)
    return curves, tensors


def make_generation(model, student, rows):
    model.set_student(student, LORA_ALPHA)
    attention = ref.Attention(window=8, sinks=4)
    prompt = rows[0, :20].tolist()
    result = {'prompt': prompt, 'window': 8, 'sinks': 4, 'modes': {}}
    for mode in ('teacher', 'hybrid', 'swa_only', 'la_only', 'la_past'):
        ids, margin = ref.generate(model, prompt, 24, attention, mode)
        assert margin > 1e-3, (mode, margin)  # no near ties
        result['modes'][mode] = ids
    return result


def make_folder(name, seed):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    make_model(name, seed)
    model = load_hf(folder)
    model.initial_student()
    rows = ref.sample_rows(model, ROWS, SEQ_LEN + 1, seed + 1)
    theirs, worst = check_against_transformers(folder, model, rows[:2])
    generator = np.random.default_rng(seed)
    borders = generator.random((ROWS, SEQ_LEN + 1)) < 0.08
    documents = torch.from_numpy(borders.cumsum(1))
    mask = torch.from_numpy(generator.random((ROWS, SEQ_LEN + 1)) < 0.7)
    save_tensors(folder / 'rows.safetensors', {
        'tokens': rows.float(), 'document': documents.float(),
        'loss_mask': mask.float()})
    save_tensors(folder / 'logits.safetensors', {'logits': theirs[:1]})
    students = {'student': make_student(model, seed + 2),
                'wide_student': make_student(model, seed + 3, 2 * model.D)}
    if name == 'tiny_tied':
        students.pop('wide_student')
    for file, tensors in students.items():
        save_tensors(folder / f'{file}.safetensors', tensors)

    expected = {
        'made_with': {m.__name__: m.__version__ for m in
                      (torch, transformers, tokenizers, np)},
        'lora_rank': LORA_RANK, 'lora_alpha': LORA_ALPHA,
        'logits_max_difference_of_reference': worst,
    }
    if name == 'tiny_gqa':
        make_tokenizer(folder, SHAPES[name]['vocab_size'])
        expected['losses'] = make_loss_cases(model, students, rows, documents)
        model.set_student(students['student'], LORA_ALPHA)
        expected['terms'] = make_term_cases(
            model, rows, ref.Attention(window=8, sinks=4), seed + 4)
        expected['gradients'], gradients = make_gradients(
            model, students['student'], rows, mask)
        save_tensors(folder / 'gradients.safetensors', gradients)
        expected['curves'], tensors = make_curves(
            model, students['student'], rows)
        save_tensors(folder / 'curves.safetensors', tensors)
        expected['generation'] = make_generation(
            model, students['student'], rows)
    else:
        model.set_student(students['student'], LORA_ALPHA)
        expected['losses'] = [loss_case(
            model, rows[:4], 'student', ref.Attention(window=8, sinks=sinks),
            'sliding window') for sinks in (0, 4)]
    write_json(folder / 'expected.json', expected)


def main():
    torch.set_num_threads(1)
    make_folder('tiny_gqa', 1)
    make_folder('tiny_tied', 2)


if __name__ == '__main__':
    main()
