"""The stages in plain PyTorch: losses, gradients, optimiser steps."""
import dataclasses
import math

import numpy as np
import torch

import reference_curriculum as curricula
from reference import TERMS_OF_MODE, WINDOW_FACTOR_INIT, token_losses

MSE = {'mse': 1000}  # weights of the transfer losses, as published


def trained_names(model, stage, groups=None):
    """Names of what a stage trains, in the model's order. groups: parts of
    names; default: feature maps and window factors in 'transfer', LoRA in
    'finetune'."""
    groups = groups or (('.lora.',) if stage == 'finetune' else
                        ('feature_map', 'window_factor'))
    return [n for n in model.student if any(g in n for g in groups)]


def kaiming_lora(shapes, seed, dtype=torch.float64):
    """Initial LoRA: A uniform in +-1/sqrt(in), as nn.Linear; B zero."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith('.A'):
            bound = 1 / math.sqrt(shape[1])
            tensors[name] = (torch.rand(shape, generator=generator) * 2 - 1
                             ).mul(bound).to(dtype)
        else:
            tensors[name] = torch.zeros(shape, dtype=dtype)
    return tensors


def hashed_lora(shapes):
    """Initial LoRA too large to commit, from a hash that any language can
    repeat: the k-th A of `shapes` (from 0) has at flat index e
        (2 u - 1) / sqrt(in),  u = (SplitMix64(k 2^32 + e) >> 40) / 2^24
    rounded to float32; SplitMix64(x) is the finalizer of x +
    0x9E3779B97F4A7C15.
    """
    tensors, k = {}, 0
    for name, shape in shapes.items():
        if name.endswith('.B'):
            tensors[name] = torch.zeros(shape)
            continue
        tensors[name] = torch.from_numpy(
            (hashed(k, shape) / math.sqrt(shape[1])).astype(np.float32))
        k += 1
    return tensors


def hashed(k, shape):
    """2 u - 1 of hashed_lora() for the k-th tensor, float64 [shape]."""
    x = np.arange(math.prod(shape), dtype=np.uint64)
    x += np.uint64(((k << 32) + 0x9E3779B97F4A7C15) % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    u = (x >> np.uint64(40)).astype(np.float64) / 2**24
    return (2 * u - 1).reshape(shape)


def hashed_student(model, rank, features=None, maps=None, bias=False,
                   tied=False):
    """A student as after training, from the hash: every tensor is its initial
    value plus scale * (2 u - 1), rounded to float32. maps: feature maps of a
    layer, default one a head. The k of a tensor is FNV-1a of its name, 32
    bits. Scales: feature maps and biases 1/2, window factors 1, LoRA 1/8.
    """
    D, features, maps = model.D, features or model.D, maps or model.H
    shapes = {}
    for i in range(model.layers):
        for n in ('q',) if tied else ('q', 'k'):
            shapes[f'layers.{i}.feature_map_{n}'] = (maps, D, features)
            if bias:
                shapes[f'layers.{i}.feature_map_{n}_bias'] = (maps, features)
        shapes[f'layers.{i}.window_factor'] = (model.H,)
    shapes.update(model.lora_shapes(rank))
    tensors = {}
    for name, shape in shapes.items():
        k = 0x811C9DC5
        for byte in name.encode():
            k = (k ^ byte) * 0x01000193 % 2**32
        value = hashed(k, shape) * (
            1 if name.endswith('factor') else
            1 / 8 if '.lora.' in name else 1 / 2)
        if name.endswith('factor'):
            value += np.float32(WINDOW_FACTOR_INIT)
        elif len(shape) == 3:
            value += np.eye(D, features)
        tensors[name] = torch.from_numpy(value.astype(np.float32))
    return tensors


def group_of(name):
    """A tensor's group, as optimizer.group_weight_decay names it."""
    return ('lora' if '.lora.' in name else
            'window_factors' if name.endswith('window_factor') else
            'feature_biases' if name.endswith('_bias') else 'feature_maps')


@dataclasses.dataclass
class Curriculum:
    """Schedules over a stage's steps, as reference_curriculum.value_at."""
    drop: dict = None
    window: dict = None
    granularity: str = 'sample_layer'
    drop_mode: str = 'la_only'
    keeps_sinks: bool = False
    seed: int = 0


class Training:
    """Stages of optimiser steps: AdamW, clip of the global norm at 1,
    constant learning rate, rows taken in order. documents [n, T + 1]:
    attention starts afresh where they change."""

    def __init__(self, model, attention, batch, micro_batch=None,
                 documents=None):
        self.model, self.attention, self.batch = model, attention, batch
        self.micro_batch = micro_batch or batch
        self.documents = documents
        self.next_row, self.global_step = 0, 0

    def run(self, stage, rows, steps, lr, mode='hybrid', log=None,
            weights=None, groups=None, curriculum=None, decay=None):
        """rows [n, T + 1] -> losses of `steps` steps (as reported: a stage's
        only loss is not scaled by its weight). decay: {group_of(): weight
        decay}; default: none."""
        names = trained_names(self.model, stage, groups)
        parameters = [self.model.student[n].requires_grad_() for n in names]
        optimizer = torch.optim.AdamW(
            [{'params': [p], 'weight_decay': (decay or {}).get(group_of(n), 0)}
             for n, p in zip(names, parameters)], lr=lr)
        if stage == 'transfer':
            weights = weights or MSE
        scale = stage_scale(weights)
        losses = []
        for step in range(steps):
            attention, terms = self.attention, None
            if curriculum:
                attention, terms = self.scheduled(curriculum, step, steps)
            first = self.next_row
            self.next_row += self.batch
            assert self.next_row <= len(rows), 'not enough rows'
            total = 0.0
            for begin in range(0, self.batch, self.micro_batch):
                part = slice(first + begin, first + begin + self.micro_batch)
                sample = slice(begin, begin + self.micro_batch)
                loss = stage_loss(
                    self.model, rows[part], attention, stage, mode,
                    weights=weights,
                    terms=None if terms is None else terms[:, sample],
                    documents=None if self.documents is None
                    else self.documents[part]
                ) * self.micro_batch / self.batch  # all of equal sizes
                (loss * scale).backward()
                total += loss.item()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            self.global_step += 1
            losses.append(total)
            if log:
                log(stage, step, losses[-1])
        for p in parameters:
            p.requires_grad_(False)
        return losses

    def scheduled(self, curriculum, step, steps):
        """-> attention and terms [layers, batch, H] (or None) of a step."""
        attention, c = self.attention, curriculum
        if c.window:
            attention = dataclasses.replace(attention, window=math.floor(
                curricula.value_at(c.window, step, steps) + 0.5))
        if not c.drop:
            return attention, None
        drop = curricula.dropped(
            c.seed, curricula.value_at(c.drop, step, steps), c.granularity,
            self.global_step, self.model.layers, self.batch, self.model.H)
        return attention, torch.where(
            drop, curricula.drop_terms(c.drop_mode, c.keeps_sinks),
            TERMS_OF_MODE['hybrid'])


def stage_scale(weights):
    """What a stage's reported loss is multiplied by: its weight, if it has one
    loss only; a mix is weighted already."""
    return next(iter(weights.values())) if weights and len(weights) == 1 else 1


def stage_loss(model, rows, attention, stage, mode='hybrid', mask=None,
               weights=None, terms=None, documents=None):
    """One step's loss over rows [B, T + 1]; mask [B, T]: scored targets.
    weights: of the stage's losses (mse, xent, kl; lm, logit_kl,
    logit_kl_reverse); a single one is not applied."""
    if documents is not None:
        documents = documents[:, :-1]
    if stage == 'transfer':
        weights = weights or MSE
        parts = []
        model.forward(rows[:, :-1], attention, mode, terms, documents,
                      transfer=parts)
        means = {n: sum(p[n] for p in parts) / len(parts) for n in weights}
    else:
        logits = model.forward(rows[:, :-1], attention, mode, terms, documents)
        values = {'lm': token_losses(logits, rows[:, 1:])}
        if any('kl' in n for n in weights or ()):
            with torch.no_grad():
                teacher = model.forward(
                    rows[:, :-1], attention, 'teacher',
                    documents=documents).log_softmax(-1)
            student = logits.log_softmax(-1)
            values['logit_kl'] = (
                teacher.exp() * (teacher - student)).sum(-1)
            values['logit_kl_reverse'] = (
                student.exp() * (student - teacher)).sum(-1)
        weights = weights or {'lm': 1}
        means = {n: values[n].mean() if mask is None
                 else (values[n] * mask).sum() / mask.sum() for n in weights}
    if len(means) == 1:
        return next(iter(means.values()))
    return sum(weights[n] * means[n] for n in means)


def gradients(model, rows, attention, stage, mode='hybrid', mask=None,
              names=None, **more):
    """-> (loss, {name: gradient}) for all tensors of the student, or names;
    more: weights, terms and documents of stage_loss()."""
    names = names or list(model.student)
    for n in names:
        model.student[n].requires_grad_()
    loss = stage_loss(model, rows, attention, stage, mode, mask, **more)
    loss.backward()
    result = {}
    for n in names:
        p = model.student[n].requires_grad_(False)
        if p.grad is not None:
            result[n] = p.grad
        p.grad = None
    return loss.item(), result
