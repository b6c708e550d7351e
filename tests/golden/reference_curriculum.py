"""Scheduled sliding-window dropout in plain Python: the Philox4x32-10 draws
and the schedules, written from their papers and key layouts alone."""
import math

import torch

from reference import TERMS_OF_MODE

COMPONENT_DROPOUT = 2  # what the numbers are for: 8 high bits of word 1
M32 = 0xFFFFFFFF


def philox4x32(counter, key, rounds=10):
    """Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
    Four words of counter and two of key -> four random words."""
    c, k = list(counter), list(key)
    for _ in range(rounds):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 & M32,
             p0 >> 32 ^ c[3] ^ k[1], p0 & M32]
        k = [(k[0] + 0x9E3779B9) & M32, (k[1] + 0xBB67AE85) & M32]
    return c


# The authors' known answers.
assert philox4x32([0] * 4, [0] * 2) == [
    0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
assert philox4x32([M32] * 4, [M32] * 2) == [
    0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
assert philox4x32([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
                  [0xA4093822, 0x299F31D0]) == [
    0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


def uniform(seed, step, sample, layer, head):
    """In [0, 1), a multiple of 2^-24."""
    words = philox4x32(
        [head // 4, COMPONENT_DROPOUT << 24 | layer, sample, step],
        [seed & M32, seed >> 32])
    return (words[head % 4] >> 8) / 2**24


GRANULARITIES = ('step', 'layer', 'sample_layer', 'head')


def dropped(seed, probability, granularity, step, layers, samples, heads):
    """-> bool [layers, samples, heads]; units that share a draw use 0 for the
    indices that they do not tell apart."""
    fine = GRANULARITIES.index(granularity)
    return torch.tensor([[[
        uniform(seed, step, s * (fine >= 2), i * (fine >= 1), h * (fine >= 3))
        < probability for h in range(heads)]
        for s in range(samples)] for i in range(layers)])


def drop_terms(drop_mode, keeps_sinks=False):
    """Class bits of a dropped head."""
    bits = TERMS_OF_MODE[drop_mode]
    return bits | TERMS_OF_MODE['sinks_only'] if keeps_sinks else bits


def value_at(schedule, step, steps):
    """schedule: {'step': [pieces]}, {'constant': x}, or {'linear' or 'cosine':
    [from, to]}, over steps 0 ... steps - 1."""
    (shape, values), = schedule.items()
    if shape == 'constant':
        return values
    if shape == 'step':
        return values[step * len(values) // steps]
    first, last = values
    way = step / (steps - 1) if steps > 1 else 0.0
    if shape == 'cosine':
        way = (1 - math.cos(math.pi * way)) / 2
    return first + (last - first) * way
