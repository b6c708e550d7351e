"""The stages in plain PyTorch: losses, gradients, optimiser steps."""
import math

import numpy as np
import torch

from reference import token_losses


def trained_names(model, stage):
    """Names of what a stage trains, in the model's order: feature maps and
    window factors in 'transfer', LoRA in 'finetune'."""
    lora = stage == 'finetune'
    return [n for n in model.student if ('.lora.' in n) == lora]


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
        x = np.arange(shape[0] * shape[1], dtype=np.uint64)
        x += np.uint64((k << 32) + 0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
        u = (x >> np.uint64(40)).astype(np.float64) / 2**24
        tensors[name] = torch.from_numpy(
            ((2 * u - 1) / math.sqrt(shape[1])).astype(np.float32)
        ).view(shape)
        k += 1
    return tensors


class Training:
    """Stages of optimiser steps: AdamW without decay, clip of the global norm
    at 1, constant learning rate, rows taken in order."""

    def __init__(self, model, attention, batch, micro_batch=None):
        self.model, self.attention, self.batch = model, attention, batch
        self.micro_batch = micro_batch or batch
        self.next_row = 0

    def run(self, stage, rows, steps, lr, mode='hybrid', log=None):
        """rows [n, T + 1] -> losses of `steps` steps (mse not scaled)."""
        names = trained_names(self.model, stage)
        parameters = [self.model.student[n].requires_grad_() for n in names]
        optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0)
        losses = []
        for step in range(steps):
            b = rows[self.next_row:self.next_row + self.batch]
            assert len(b) == self.batch, 'not enough rows'
            self.next_row += self.batch
            total = 0.0
            for micro in b.split(self.micro_batch):  # of equal sizes
                loss = stage_loss(self.model, micro, self.attention, stage,
                                  mode) * len(micro) / self.batch
                (loss * (1000 if stage == 'transfer' else 1)).backward()
                total += loss.item()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(total)
            if log:
                log(stage, step, losses[-1])
        for p in parameters:
            p.requires_grad_(False)
        return losses


def stage_loss(model, rows, attention, stage, mode='hybrid', mask=None):
    """One step's loss over rows [B, T + 1]; mask [B, T]: scored targets."""
    if stage == 'transfer':
        errors = []
        model.forward(rows[:, :-1], attention, mode, transfer=errors)
        return sum(errors) / len(errors)
    nll = token_losses(model.forward(rows[:, :-1], attention, mode),
                       rows[:, 1:])
    return nll.mean() if mask is None else (nll * mask).sum() / mask.sum()


def gradients(model, rows, attention, stage, mode='hybrid', mask=None,
              names=None):
    """-> (loss, {name: gradient}) for all tensors of the student, or names."""
    names = names or list(model.student)
    for n in names:
        model.student[n].requires_grad_()
    loss = stage_loss(model, rows, attention, stage, mode, mask)
    loss.backward()
    result = {}
    for n in names:
        p = model.student[n].requires_grad_(False)
        if p.grad is not None:
            result[n] = p.grad
        p.grad = None
    return loss.item(), result
