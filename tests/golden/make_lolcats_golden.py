#!/usr/bin/env python3
"""Adds to tests/golden/model/tiny_gqa/ what attention is in LoLCATs' public
code (github.com/HazyResearch/lolcats, its terraced window), faults and all:
losses, gradients, and decoding from a prompt. README.md says what each file is.

    python3 tests/golden/make_lolcats_golden.py

Written from what that code does, not from it. Its terraced mask begins with
whole blocks, as many as cover the longer side: a block sees itself, and the
block before it by rolling the columns one block to the left, which also gives
the first block the last. The mask is cut to size from its far corner, and only
then made causal, so that blocks count back from the end of the text. A single
block is rolled onto itself: it counts 2, which is true as a window, and
1 - 2 = -1, which is true as what is left for the linear part. Decoding does
not look at blocks: a queue holds the last W keys, and what falls out of it
goes to the state.
"""
import dataclasses
import json
import math
import pathlib

import torch
from safetensors.torch import load_file

import reference as ref
import reference_training as training
from make_method_golden import LORA_ALPHA, LORA_RANK, Student, write_lines
from reference_files import load_hf, save_tensors

OUT = pathlib.Path(__file__).parent / 'model' / 'tiny_gqa'
MODES = ('hybrid', 'swa_only', 'la_only', 'la_past')


def prompt_masks(window, length):
    """-> softmax, linear [length, length] bool."""
    blocks = math.ceil(length / window)
    block = torch.arange(blocks * window) // window
    own = (block[:, None] == block).long()
    counted = own + own.roll(-window, 1)
    counted = counted[-length:, -length:]
    return counted.tril() != 0, (1 - counted).tril() != 0


def masks(window, length, prompt):
    """Of a text whose first `prompt` tokens were fed at once and the others one
    by one: -> softmax, linear [length, length] bool."""
    n, j = torch.arange(length)[:, None], torch.arange(length)
    softmax, linear = (n - j < window) & (j <= n), n - j >= window
    softmax[:prompt], linear[:prompt] = False, False
    softmax[:prompt, :prompt], linear[:prompt, :prompt] = prompt_masks(
        window, prompt)
    return softmax, linear


class LolcatsModel(ref.Model):
    """ref.Model with that code's attention in its converted layers."""
    prompt = None  # tokens fed at once; None: all

    def mix(self, layer, q, k, v, attention, mode, terms, causal, classes,
            transfer, masses):
        T = q.shape[2]
        teacher = ref.causal_attention(q, k, v, causal)
        if layer in attention.softmax_layers or mode in ref.FULL_SOFTMAX:
            return teacher
        own = self.layer_student(layer)
        softmax, linear = masks(attention.window, T, self.prompt or T)
        if mode == 'la_only':
            linear = causal[0]
        if mode in ('la_only', 'la_past'):
            softmax = torch.zeros_like(softmax)
        if mode == 'swa_only':
            linear = torch.zeros_like(linear)
        gamma = torch.sigmoid(own['window_factor']).view(1, -1, 1, 1)
        alpha = 1 - gamma if attention.affine else 1
        scores = (q @ k.mT) * q.shape[-1] ** -0.5
        inside = scores.masked_fill(~softmax, -math.inf)
        top = inside.amax(-1, keepdim=True).clamp(min=-1e30)  # if there is any
        e = gamma * (inside - top).exp()
        phi_q, phi_k = (ref.feature_map(
            x, own[f'feature_map_{n}'], attention.feature_map,
            own.get(f'feature_map_{n}_bias'), attention.half_space)
            for x, n in ((q, 'q'), (k, 'k')))
        a = alpha * (phi_q @ phi_k.mT).masked_fill(~linear, 0)
        weights = e + a
        den = weights.sum(-1, keepdim=True)
        p = torch.where(den > 0, weights / torch.where(den > 0, den, 1), 0)
        y = p @ v
        if transfer is None:
            return y
        # Over the keys that have a term; a row without one adds 0.
        served = softmax | linear
        some = served.any(-1, keepdim=True)
        target = torch.where(some, scores.masked_fill(~served, -math.inf),
                             0.0).softmax(-1) * served
        xent = -(target * p.clamp(min=1e-12).log()).sum(-1).mean()
        transfer.append({'mse': (y - teacher.detach()).square().mean(),
                         'xent': xent})
        return teacher.detach()


def text_of(student):
    return student.text() + ' compat: LOLCATS_REFERENCE'


def students():
    def of(name='hedgehog', **fields):
        return Student.of(name, sinks=0, window_kind='terraced', **fields)
    for window in (1, 5, 16):
        yield of(window=window)
    yield of('exp', window=16, affine=True)
    yield of('t2r', window=16, features=32)
    yield of(window=16, softmax_layers=(0,))


def make_losses(model, rows):
    """Of row 0 cut to each length: a loss for each of MODES."""
    cases = []
    for student in students():
        student.put_in(model)
        for length in (1, 5, 15, 16, 17, 31, 32, 33, 48):
            row, losses = rows[:1, :length + 1], []
            for mode in MODES:
                with torch.no_grad():
                    logits = model.forward(row[:, :-1], student.attention(),
                                           mode)
                losses.append(round(ref.token_losses(
                    logits, row[:, 1:]).mean().item(), 8))
            cases.append({'attention': text_of(student), 'seq_len': length,
                          'losses': losses})
    return {'modes': MODES, 'cases': cases}


def make_gradients(model, rows):
    """Rows 0 and 1, of 48 tokens; windows longer and shorter than they are."""
    cases, tensors = [], {}
    for stage, mode, weights, fields in (
            ('transfer', 'hybrid', {'mse': 3, 'xent': 0.5}, {}),
            ('transfer', 'hybrid', {'mse': 3, 'xent': 0.5}, {'window': 64}),
            ('transfer', 'la_past', {'xent': 1}, {'window': 10}),
            ('finetune', 'hybrid', None, {}),
            ('finetune', 'hybrid', None, {'window': 48, 'affine': True}),
            ('finetune', 'hybrid', None, {'window': 7, 'affine': True}),
            ('finetune', 'la_past', None, {'window': 20})):
        student = Student(**{'sinks': 0, 'window': 16,
                             'window_kind': 'terraced', **fields})
        student.put_in(model)
        name = f'{stage}_{mode}_{student.window}'
        names = training.trained_names(model, 'transfer') if weights else None

        def run(w):
            return training.gradients(model, rows[:2], student.attention(),
                                      stage, mode, names=names, weights=w)
        loss, grads = run(weights)
        case = {'name': name, 'attention': text_of(student), 'stage': stage,
                'mode': mode}
        if weights:
            case['weights'] = weights
            case['parts'] = {n: run({n: 1})[0] for n in ('mse', 'xent')}
        else:
            case['loss'] = loss
        cases.append(case)
        for n, g in grads.items():  # what cancels exactly leaves rounding
            tensors[f'{name}/{n}'] = g * (g.norm() > 1e-12)
    return cases, tensors


def make_decoding(model, rows):
    """-log p of each target of row 0 from the prompt's last token on."""
    cases = []
    for window, prompt in ((16, 1), (16, 9), (16, 16), (16, 17), (16, 37),
                           (5, 37), (64, 20)):
        student = Student(sinks=0, window=window, window_kind='terraced')
        student.put_in(model)
        model.prompt = prompt
        with torch.no_grad():
            logits = model.forward(rows[:1, :-1], student.attention(), 'hybrid')
        model.prompt = None
        nll = ref.token_losses(logits, rows[:1, 1:])[0]
        cases.append({'attention': text_of(student), 'prompt': prompt,
                      'nll': [round(x, 8) for x in nll[prompt - 1:].tolist()]})
    return cases


def main():
    torch.set_num_threads(1)
    plain = load_hf(OUT)
    model = LolcatsModel(plain.config, plain.weights)
    rows = load_file(OUT / 'rows.safetensors')['tokens'].long()
    expected = {'made_with': {'torch': torch.__version__},
                'lora_rank': LORA_RANK, 'lora_alpha': LORA_ALPHA,
                'losses': make_losses(model, rows)}
    expected['gradients'], tensors = make_gradients(model, rows)
    expected['decoding'] = make_decoding(model, rows)
    save_tensors(OUT / 'lolcats_gradients.safetensors', tensors)
    write_lines(OUT / 'lolcats.json', expected)


if __name__ == '__main__':
    main()
