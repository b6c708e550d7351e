#!/usr/bin/env python3
"""Makes tests/golden/model/tiny_gqa/method*: the whole method on the tiny
model of make_model_golden.py. Losses of every mode, feature map and window;
gradients of every trained tensor; curves of the presets and of curricula.

    python3 tests/golden/make_method_golden.py

A student is described by the text of a job's `attention`, as C++ reads it; its
tensors are hashed_student() of reference_training.py, which C++ repeats.
"""
import dataclasses
import itertools
import json
import pathlib

import numpy as np
import torch
from safetensors.torch import load_file

import reference as ref
import reference_curriculum as curricula
import reference_training as training
from reference_files import load_hf, save_tensors

OUT = pathlib.Path(__file__).parent / 'model' / 'tiny_gqa'
LORA_RANK, LORA_ALPHA = 4, 8
# Long enough that a terraced window of 100 does not see everything.
LONG = 221
# Every map, with the bias that belongs to it.
MAPS = ('hedgehog', 'exp', 't2r', 'elu1', 'hedgehog_fla', 'hedgehog_half',
        'exp_half')


@dataclasses.dataclass
class Student:
    """What a job's `attention` says."""
    window: int = 8
    sinks: int = 4
    window_kind: str = 'sliding'
    feature_map: str = 'hedgehog'
    half_space: bool = False
    features: int = 16
    feature_bias: bool = False
    tied_feature_maps: bool = False
    affine: bool = False
    softmax_layers: tuple = ()
    reset_at_document: bool = False

    @classmethod
    def of(cls, name, **fields):
        """name: one of MAPS."""
        base = name.removesuffix('_half')
        return cls(**{'feature_map': base, 'half_space': name != base,
                      'feature_bias': base in ('t2r', 'hedgehog_fla'),
                      **fields})

    def text(self):
        """The fields that are not the job's defaults."""
        parts = [f'window: {self.window} sinks: {self.sinks} '
                 f'feature_map: "{self.feature_map}" '
                 f'features: {self.features} '
                 f'feature_bias: {str(self.feature_bias).lower()}']
        if self.window_kind != 'sliding':
            parts.append(f'window_kind: "{self.window_kind}"')
        for n in ('half_space', 'tied_feature_maps', 'affine',
                  'reset_at_document'):
            if getattr(self, n):
                parts.append(f'{n}: true')
        if self.softmax_layers:
            parts.append(f'softmax_layers: {list(self.softmax_layers)}')
        return ' '.join(parts)

    def attention(self):
        return ref.Attention(
            window=self.window, sinks=self.sinks, kind=self.window_kind,
            feature_map=self.feature_map, half_space=self.half_space,
            affine=self.affine, softmax_layers=self.softmax_layers)

    def put_in(self, model):
        model.set_student(training.hashed_student(
            model, LORA_RANK, self.features,
            1 if self.feature_map == 'hedgehog_fla' else None,
            self.feature_bias, self.tied_feature_maps), LORA_ALPHA)


# --- losses

def loss_students():
    every = itertools.product(MAPS, ('sliding', 'terraced'), (0, 4),
                              (16, 64, 100))
    for name, kind, sinks, window in every:
        yield Student.of(name, window_kind=kind, sinks=sinks, window=window)
    for name, fields in (
            ('hedgehog', dict(feature_bias=True)),
            ('hedgehog', dict(features=32, tied_feature_maps=True)),
            ('hedgehog', dict(features=8, affine=True)),
            ('exp', dict(features=32, feature_bias=True)),
            ('exp', dict(tied_feature_maps=True, affine=True)),
            ('t2r', dict(features=32, affine=True)),
            ('t2r', dict(tied_feature_maps=True)),
            ('elu1', dict(features=32, feature_bias=True)),
            ('elu1', dict(tied_feature_maps=True, affine=True)),
            ('hedgehog_fla', dict(features=32, affine=True)),
            ('hedgehog_fla', dict(features=8, tied_feature_maps=True)),
            ('hedgehog_half', dict(features=32, feature_bias=True)),
            ('exp_half', dict(features=8, tied_feature_maps=True)),
            ('hedgehog', dict(softmax_layers=(0,))),
            ('exp', dict(softmax_layers=(1,)))):
        for kind in ('sliding', 'terraced'):
            yield Student.of(name, window=16, window_kind=kind, **fields)


def make_losses(model, row):
    """Of one row [LONG + 1]: a loss for each of ALL_MODES, or null."""
    cases = []
    for student in loss_students():
        student.put_in(model)
        losses = []
        for mode in ref.ALL_MODES:
            if mode == 'sinks_only' and not student.sinks:
                losses.append(None)
                continue
            with torch.no_grad():
                logits = model.forward(row[None, :-1], student.attention(),
                                       mode)
            losses.append(round(
                ref.token_losses(logits, row[None, 1:]).mean().item(), 8))
        cases.append({'attention': student.text(), 'losses': losses})
    return {'seq_len': LONG, 'modes': ref.ALL_MODES, 'cases': cases}


# --- gradients

def gradient_cases():
    """(name, student, stage, mode, weights or None)."""
    xent, both = {'xent': 1}, {'mse': 3, 'xent': 0.5, 'kl': 0.25}
    for mode in ('hybrid', 'la_only', 'la_past'):
        yield f'xent_{mode}', Student(), 'transfer', mode, xent
    for name in MAPS[1:]:
        for mode, weights in (('hybrid', both), ('la_only', xent)):
            # Products of few rectified features are often next to 0, and then
            # 1 / p of la_only's xent is rounding.
            more = {'features': 32} if name == 't2r' else {}
            yield (f'transfer_{name}_{mode}', Student.of(name, **more),
                   'transfer', mode, weights)
    for name, student, mode in (
            ('affine', Student(affine=True), 'hybrid'),
            ('terraced', Student(window_kind='terraced'), 'hybrid'),
            ('terraced_past', Student.of('exp', window_kind='terraced'),
             'la_past'),
            ('tied', Student(tied_feature_maps=True, feature_bias=True),
             'hybrid'),
            ('tied_fla', Student.of('hedgehog_fla', tied_feature_maps=True,
                                    features=8), 'la_past'),
            ('wide', Student.of('elu1', features=32, feature_bias=True),
             'hybrid'),
            ('softmax_layer', Student(softmax_layers=(0,)), 'hybrid'),
            ('reset', Student(reset_at_document=True), 'hybrid')):
        yield f'transfer_{name}', student, 'transfer', mode, both
    for name in MAPS[1:]:
        yield f'hybrid_{name}', Student.of(name), 'finetune', 'hybrid', None
    for name, student, mode in (
            ('tied_bias_affine', Student(
                tied_feature_maps=True, feature_bias=True, affine=True),
             'hybrid'),
            ('tied_fla', Student.of('hedgehog_fla', tied_feature_maps=True,
                                    features=8), 'la_only'),
            ('terraced_past', Student.of('exp', window_kind='terraced',
                                         feature_bias=True), 'la_past'),
            ('softmax_layer', Student.of('elu1', softmax_layers=(1,)),
             'hybrid'),
            ('reset', Student(reset_at_document=True, window=4, sinks=2),
             'hybrid'),
            # Heads of both modes, as SSD draws them.
            ('drops', Student(), None)):
        yield f'finetune_{name}', student, 'finetune', mode, None


DROPS = dict(seed=5, probability=0.5, granularity='head', step=3)


def make_gradients(model, rows, documents, given):
    """given: gradient_cases() -> (cases, {case name/tensor name: gradient})."""
    cases, tensors = [], {}
    drops = curricula.dropped(**DROPS, layers=model.layers, samples=2,
                              heads=model.H)
    assert 0 < drops.sum() < drops.numel()
    for name, student, stage, mode, weights in given:
        student.put_in(model)
        docs = documents if student.reset_at_document else None
        terms = None if mode else torch.where(
            drops, curricula.drop_terms('la_only'),
            ref.TERMS_OF_MODE['hybrid'])
        case = {'name': name, 'attention': student.text(), 'stage': stage,
                'mode': mode or 'drops'}
        names = training.trained_names(model, 'transfer') if weights else None

        def run(w):
            return training.gradients(
                model, rows, student.attention(), stage, mode or 'hybrid',
                names=names, weights=w, terms=terms, documents=docs)
        loss, grads = run(weights)
        if weights:
            case['weights'] = weights
            case['parts'] = {}
            for part in ('mse', 'xent', 'kl'):
                case['parts'][part], g = run({part: 1})
                if part == 'xent':
                    xent = g
            for n in xent:  # the teacher's entropy has no gradient
                assert (xent[n] - g[n]).norm() <= 1e-12 * xent[n].norm()
        else:
            case['loss'] = loss
        cases.append(case)
        for n, g in grads.items():  # what cancels exactly leaves rounding
            tensors[f'{name}/{n}'] = g * (g.norm() > 1e-12)
    return cases, tensors


# Of that row: beyond a window of 100, and beyond both blocks of a terraced one
# of 16.
LONG_GRADIENTS = 144


def long_gradient_cases():
    """As gradient_cases()."""
    both = {'mse': 3, 'xent': 0.5, 'kl': 0.25}
    yield ('long_finetune_100', Student.of('elu1', window=100), 'finetune',
           'hybrid', None)
    yield ('long_finetune_16_terraced',
           Student(window=16, sinks=0, window_kind='terraced'), 'finetune',
           'hybrid', None)
    yield ('long_transfer_100', Student(window=100, sinks=0), 'transfer',
           'hybrid', both)
    yield ('long_transfer_16_terraced', Student.of(
        'elu1', window=16, window_kind='terraced'), 'transfer', 'hybrid', both)


def window_factor_terms(model, rows, attention):
    """-> {name of w_h: 2-norm over heads of the magnitudes that its gradient
    sums} of fine-tuning in hybrid, not affine. A row adds
    (1 - gamma) (dy.num_s - (dy.y) den_s) / den, two terms which cancel: fully
    where L_n is empty and y is num_s / den_s."""
    outs = []

    def attend(*args):
        outs.append(hybrid_attention(*args))
        outs[-1]['y'].retain_grad()
        return outs[-1]
    hybrid_attention, ref.hybrid_attention = ref.hybrid_attention, attend
    try:
        training.gradients(model, rows, attention, 'finetune')
    finally:
        ref.hybrid_attention = hybrid_attention
    terms = {}
    for i, out in enumerate(outs):
        dy, den = out['y'].grad, out['softmax_den'] + out['linear_den']
        softmax = (dy * out['softmax_part']).sum(-1)
        share = (dy * out['y']).sum(-1) * out['softmax_den'] / den
        name = f'layers.{i}.window_factor'
        left = 1 - torch.sigmoid(model.student[name])
        magnitude = (softmax.abs() + share.abs()).sum((0, 2)) * left
        terms[name] = magnitude.norm().item()
    return terms


DISTILLATION = (
    ('distill_forward', 'hybrid', {'logit_kl': 1}),
    ('distill_reverse', 'hybrid', {'logit_kl_reverse': 1}),
    ('distill_forward_mix', 'la_only', {'lm': 0.25, 'logit_kl': 1.5}),
    ('distill_reverse_mix', 'swa_only', {'lm': 0.5, 'logit_kl_reverse': 2}))


def finetune_text(mode, weights):
    """A stage that trains everything with these losses."""
    losses = ' '.join(f'{n.removesuffix("_reverse")}: {w}'
                      for n, w in weights.items())
    if 'logit_kl_reverse' in weights:
        losses += ' logit_kl_direction: REVERSE'
    return (f'student_mode: {mode.upper()} train_feature_maps: true '
            f'train_window_factors: true loss {{ {losses} }}')


def make_distillation(model, rows):
    """As make_gradients(), of losses against the teacher's logits."""
    cases, tensors = [], {}
    for name, mode, weights in DISTILLATION:
        Student().put_in(model)
        loss, grads = training.gradients(
            model, rows[:2], Student().attention(), 'finetune', mode,
            weights=weights)
        parts = {n: training.stage_loss(model, rows[:2], Student().attention(),
                                        'finetune', mode,
                                        weights={n: 1}).item()
                 for n in weights}
        cases.append({'name': name, 'loss': loss, 'parts': parts,
                      'job': f'attention {{ {Student().text()} }} stages {{ '
                             f'finetune {{ {finetune_text(mode, weights)} }} }}'
                      })
        for n, g in grads.items():
            tensors[f'{name}/{n}'] = g * (g.norm() > 1e-12)
    return cases, tensors


# --- curves

def untrained(model, lora):
    model.student = {}
    model.initial_student()
    model.set_student({**model.student, **lora}, LORA_ALPHA)


def schedule_text(name, schedule):
    (shape, values), = schedule.items()
    if shape in ('linear', 'cosine'):
        return f'{name} {{ {shape} {{ from: {values[0]} to: {values[1]} }} }}'
    return f'{name} {{ {shape}: {values} }}'


def curriculum_text(c):
    parts = [schedule_text(n, s) for n, s in
             (('drop', c.drop), ('window', c.window)) if s]
    parts.append(f'granularity: {c.granularity.upper()} '
                 f'drop_mode: {c.drop_mode.upper()}')
    if c.keeps_sinks:
        parts.append('drop_keeps_sinks: true')
    return f'curriculum {{ {" ".join(parts)} }}'


def make_curves(model, rows, documents, lora):
    """Losses by stage. Presets: 20 steps a stage from an untrained student;
    the others: 3 steps from a hashed one, of a stage in `job`."""
    curves = []
    lm = ('.lora.', 'window_factor')
    plain = Student()

    def preset(name, transfer, finetune, extra='', seed=0):
        untrained(model, lora)
        run = training.Training(model, plain.attention(), batch=2)
        losses = [run.run('transfer', rows, 20, 1e-2, **transfer),
                  run.run('finetune', rows, 20, 1e-3, **finetune)]
        curves.append({
            'name': name, 'student': 'untrained',
            'job': f'preset: "{name}" seed: {seed} '
                   f'attention {{ {plain.text()} }} {extra}',
            'steps': 20, 'lr': [1e-2, 1e-3], 'losses': losses,
            'window_factors': [
                model.student[f'layers.{i}.window_factor'].tolist()
                for i in range(model.layers)]})

    linear = dict(mode='la_only', weights={'xent': 1}, groups=('feature_map',))
    preset('hedgehog', linear, dict(mode='la_only'))
    preset('hedgecats', linear, dict(groups=lm))
    preset('ssd', {}, dict(groups=lm, curriculum=training.Curriculum(
        drop={'step': [0.9, 0.75, 0.5]}, seed=7)), seed=7)

    def short(name, student, stage, text, lr, micro_batch=2, seed=0,
              optimizer='', **run):
        student.put_in(model)
        docs = documents if student.reset_at_document else None
        losses = training.Training(
            model, student.attention(), 2, micro_batch, docs).run(
                stage, rows, 3, lr, **run)
        curves.append({
            'name': name, 'student': 'hashed',
            'job': f'seed: {seed} attention {{ {student.text()} }} '
                   f'budget {{ micro_batch: {micro_batch} }} '
                   f'stages {{ {stage} {{ {text} }} }}'
                   + (f' optimizer {{ {optimizer} }}' if optimizer else ''),
            'steps': 3, 'lr': [lr], 'losses': [losses]})

    def curriculum(name, c, student=plain, text='', micro_batch=2, **run):
        short(name, student, 'finetune', f'{curriculum_text(c)} {text}', 1e-3,
              micro_batch, c.seed, curriculum=c, **run)

    C = training.Curriculum
    curriculum('drop_by_step', C(
        drop={'linear': [0.9, 0.1]}, granularity='step', seed=2))
    curriculum('drop_by_layer', C(
        drop={'cosine': [0.9, 0.3]}, granularity='layer', drop_mode='la_past',
        seed=1), micro_batch=1)
    curriculum('drop_by_sample_layer', C(
        drop={'constant': 0.5}, drop_mode='la_past', keeps_sinks=True,
        window={'linear': [4, 12]}, seed=3), micro_batch=1)
    curriculum('drop_by_head', C(
        drop={'step': [0.9, 0.75, 0.5]}, granularity='head',
        window={'cosine': [16, 4]}, seed=3 * 2**32 + 7))
    curriculum('drop_with_softmax_layer', C(
        drop={'constant': 0.5}, granularity='head', seed=6),
        Student(softmax_layers=(0,)), micro_batch=1)
    curriculum('drop_with_documents', C(drop={'constant': 0.5}, seed=4),
               Student(reset_at_document=True), micro_batch=1)
    curriculum('window_alone', C(window={'step': [4, 8, 16]}),
               Student.of('exp', window_kind='terraced', affine=True),
               'train_feature_maps: true train_window_factors: true',
               groups=('feature_map', *lm))
    # Decays that take more than the gradients do.
    decay = {'feature_maps': 0.5, 'feature_biases': 1.0, 'window_factors': 0.25,
             'lora': 0.75}
    groups = ' '.join(f'{n}: {d}' for n, d in decay.items())
    for stage, text, run in (
            ('transfer', '', {}),
            ('finetune', 'train_feature_maps: true train_window_factors: true',
             {'groups': ('feature_map', *lm)})):
        short(f'decay_{stage}', Student.of('t2r'), stage, text, 1e-2,
              optimizer=f'weight_decay: 0.125 group_weight_decay {{ {groups} }}',
              decay=decay, **run)
        curves[-1]['norms'] = {n: t.norm().item()
                               for n, t in model.student.items()}
    for name, mode, weights in DISTILLATION:
        short(name, plain, 'finetune', finetune_text(mode, weights), 1e-3,
              micro_batch=1, mode=mode, weights=weights,
              groups=('feature_map', *lm))
    for name, student, mode, weights in (
            ('transfer_mix', plain, 'hybrid', {'mse': 100, 'xent': 0.5}),
            ('transfer_kl', Student.of('t2r'), 'la_only', {'kl': 1}),
            ('transfer_past', Student.of('hedgehog_fla'), 'la_past',
             {'xent': 1}),
            ('transfer_softmax_layer', Student(softmax_layers=(1,)), 'hybrid',
             {'mse': 1000}),
            ('transfer_documents', Student(reset_at_document=True), 'hybrid',
             {'xent': 0.5, 'kl': 0.25})):
        losses = ' '.join(f'{n}: {w}' for n, w in weights.items())
        short(name, student, 'transfer',
              f'student_mode: {mode.upper()} loss {{ {losses} }}', 1e-2,
              micro_batch=1, mode=mode, weights=weights,
              groups=None if mode == 'hybrid' else ('feature_map',))
    return {'batch': 2, 'runs': curves}


def write_lines(path, value):
    """JSON with a line for each case."""
    def text(v, depth):
        if depth == 0 or not isinstance(v, (dict, list)) or not v:
            return json.dumps(v, allow_nan=False)
        if isinstance(v, dict):
            inner = [f'{json.dumps(n)}: {text(x, depth - 1)}'
                     for n, x in v.items()]
            return '{\n' + ',\n'.join(inner) + '\n}'
        return '[\n' + ',\n'.join(text(x, depth - 1) for x in v) + '\n]'
    path.write_text(text(value, 3) + '\n')


def main():
    torch.set_num_threads(1)
    model = load_hf(OUT)
    stored = load_file(OUT / 'rows.safetensors')
    rows, documents = stored['tokens'].long(), stored['document'].long()
    initial = load_file(OUT / 'curves.safetensors')
    lora = {n.removeprefix('initial/'): t for n, t in initial.items()
            if n.startswith('initial/')}
    model.initial_student()
    long_row = ref.sample_rows(model, 1, LONG + 1, 41)
    save_tensors(OUT / 'method_rows.safetensors',
                 {'tokens': long_row.float()})
    expected = {
        'made_with': {m.__name__: m.__version__ for m in (torch, np)},
        'lora_rank': LORA_RANK, 'lora_alpha': LORA_ALPHA,
        'losses': make_losses(model, long_row[0]), 'drops': DROPS}
    expected['gradients'], tensors = make_gradients(
        model, rows[:2], documents[:2], gradient_cases())
    long_rows = long_row[:, :LONG_GRADIENTS + 1]
    cases, more = make_gradients(model, long_rows, None, long_gradient_cases())
    tensors.update(more)
    expected['long_gradients'] = {'seq_len': LONG_GRADIENTS, 'cases': cases}
    for case, (_, student, stage, *_) in zip(cases, long_gradient_cases()):
        if stage == 'finetune':
            student.put_in(model)
            case['terms'] = window_factor_terms(model, long_rows,
                                                student.attention())
    expected['distillation'], more = make_distillation(model, rows)
    tensors.update(more)
    save_tensors(OUT / 'method_gradients.safetensors', tensors)
    expected['curves'] = make_curves(model, rows, documents, lora)
    write_lines(OUT / 'method.json', expected)


if __name__ == '__main__':
    main()
