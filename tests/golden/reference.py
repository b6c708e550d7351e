"""The method in plain PyTorch, for golden numbers: slow, quadratic, readable.

One Llama (GQA, tied or not) whose attention is the teacher's or the student's,
in float64 by default. It is the specification that the C++ tests compare with,
so everything here is written as the formula reads: T x T matrices, no caches,
no blocks. Shapes: B batch, T sequence length, H query heads, Hkv key/value
heads, D head dimension, F feature dimension, W window, S sinks.
"""
import dataclasses
import math

import torch
import torch.nn.functional as F

# Classes of keys. Every key of a row has exactly one softmax class or is in
# L_n; linear terms exist for both. The bits are those of kernels::Terms.
NEAR, NEAR_SINK, FAR_SINK, LINEAR_PAST, LINEAR_NEAR = 1, 2, 4, 8, 16
SOFTMAX_TERMS = NEAR | NEAR_SINK | FAR_SINK
TERMS_OF_MODE = {
    'hybrid': SOFTMAX_TERMS | LINEAR_PAST,
    'swa_only': SOFTMAX_TERMS,
    'la_only': LINEAR_PAST | LINEAR_NEAR,
    'la_past': LINEAR_PAST,
    'sinks_only': NEAR_SINK | FAR_SINK,
    'none': 0,
    'teacher_swa': SOFTMAX_TERMS,
}
FULL_SOFTMAX = ('softmax', 'teacher')
ADAPTERS_OFF = ('teacher', 'teacher_swa')
ALL_MODES = ('teacher', 'softmax', 'teacher_swa', 'hybrid', 'swa_only',
             'la_only', 'la_past', 'sinks_only', 'none')
WINDOW_FACTOR_INIT = -2.1972245773362196  # gamma = 0.1


@dataclasses.dataclass
class Attention:
    """What the student's attention is, besides its trained tensors."""
    window: int = 64
    sinks: int = 0
    kind: str = 'sliding'  # or 'terraced'
    feature_map: str = 'hedgehog'
    half_space: bool = False  # the map's first half only
    affine: bool = False
    softmax_layers: tuple = ()  # kept as they were, in every mode


def feature_map(x, weight, name, bias=None, half_space=False):
    """x [B, H, T, D], weight [H, D, F], bias [H, F] -> phi [B, H, T, F or 2F].
    Weight and bias of one map for all heads: [1, D, F] and [1, F]."""
    z = x @ weight
    if bias is not None:
        z = z + bias[:, None]
    if name == 'identity':
        return z
    if name == 'hedgehog':
        phi = torch.cat([z.softmax(-1), (-z).softmax(-1)], -1)
    elif name == 'exp':
        phi = torch.cat([(z - z.amax(-1, keepdim=True)).exp(),
                         (-z + z.amin(-1, keepdim=True)).exp()], -1)
    elif name == 't2r':
        phi = z.relu()
    elif name == 'elu1':
        phi = 1 + F.elu(z)
    elif name == 'hedgehog_fla':
        phi = torch.cat([2 * z, -2 * z], -1).softmax(-1)
    else:
        raise ValueError(f'no feature map {name!r}')
    if half_space:
        phi = phi[..., :z.shape[-1]]
    return phi.clamp(min=1e-12)


def key_classes(positions, segments, attention):
    """-> causal [B, T, T] bool and class bits [B, T, T] (0: not causal).

    positions, segments [B, T]: place in its document, and which document. A
    key's class bit is its softmax class, or LINEAR_PAST for keys in L_n.
    """
    n, j = positions[:, :, None], positions[:, None, :]
    causal = (j <= n) & (segments[:, :, None] == segments[:, None, :])
    w = attention.window
    if attention.kind == 'sliding':
        near = n - j < w
    elif attention.kind == 'terraced':
        near = n // w - j // w <= 1
    else:
        raise ValueError(f'no window kind {attention.kind!r}')
    sink = j < attention.sinks
    classes = torch.where(
        near, torch.where(sink, NEAR_SINK, NEAR),
        torch.where(sink, FAR_SINK, LINEAR_PAST))
    return causal, classes * causal


def hybrid_attention(q, k, v, student, terms, classes, causal, attention):
    """q, k, v [B, H, T, D], terms [B, H] int bits -> dict.

    y [B, H, T, D] = (gamma sum exp(s - c) v + alpha sum (phi.phi) v) / den over
    the terms kept; c is the row maximum over the full A_n whatever `terms`
    drops. Also softmax_den, linear_den [B, H, T], the two parts of y, and the
    unnormalised weights [B, H, T, T] with the keys that have a term (`kept`).
    """
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    softmax_set = ((classes & SOFTMAX_TERMS) > 0)[:, None]
    row_max = scores.masked_fill(~softmax_set, -math.inf).amax(-1, keepdim=True)
    gamma = torch.sigmoid(student['window_factor']).view(1, -1, 1, 1)
    alpha = 1 - gamma if attention.affine else 1.0
    kept = terms[:, :, None, None]
    keep_softmax = softmax_set & ((classes[:, None] & kept) > 0)
    # The shift is applied to kept keys only, so exp never sees -inf - x.
    exponent = (scores - row_max).masked_fill(~keep_softmax, -math.inf)
    e = gamma * exponent.exp()
    phi_q, phi_k = (
        feature_map(x, student[f'feature_map_{n}'], attention.feature_map,
                    student.get(f'feature_map_{n}_bias'), attention.half_space)
        for x, n in ((q, 'q'), (k, 'k')))
    past = ((classes & LINEAR_PAST) > 0)[:, None]
    near = causal[:, None] & ~past
    keep_linear = (past & ((kept & LINEAR_PAST) > 0)) | (
        near & ((kept & LINEAR_NEAR) > 0))
    a = alpha * (phi_q @ phi_k.transpose(-1, -2)) * keep_linear
    softmax_den, linear_den = e.sum(-1), a.sum(-1)
    den = (softmax_den + linear_den)[..., None]
    safe = torch.where(den > 0, den, torch.ones_like(den))
    softmax_part = torch.where(den > 0, (e @ v) / safe, 0.0)
    linear_part = torch.where(den > 0, (a @ v) / safe, 0.0)
    return {'y': softmax_part + linear_part, 'softmax_part': softmax_part,
            'linear_part': linear_part, 'softmax_den': softmax_den,
            'linear_den': linear_den, 'row_max': row_max.squeeze(-1),
            'scores': scores, 'weights': e + a,
            'kept': keep_softmax | keep_linear}


def weight_losses(out):
    """-> (xent, kl) of hybrid_attention()'s weights, means over (B, H, T).

    Over the keys that have a term: xent = -sum a log p, with a the teacher's
    softmax over those keys and p the student's weights, normalised and at
    least 1e-12; kl = xent + sum a log a. A row without any term adds 0.
    """
    kept = out['kept']
    some = kept.any(-1, keepdim=True)
    # A row without keys: any finite scores, then no weight.
    scores = torch.where(some, out['scores'].masked_fill(~kept, -math.inf), 0.0)
    log_a = scores.log_softmax(-1)
    a = log_a.exp() * kept
    weights = out['weights']
    den = weights.sum(-1, keepdim=True)
    p = (weights / torch.where(den > 0, den, 1.0)).clamp(min=1e-12)
    xent = -(a * p.log()).sum(-1)
    entropy = -(a * log_a.masked_fill(~kept, 0.0)).sum(-1)
    return xent.mean(), (xent - entropy).mean()


def causal_attention(q, k, v, causal):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return scores.masked_fill(~causal[:, None], -math.inf).softmax(-1) @ v


def rms_norm(x, weight, eps):
    return weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps))


def rope(x, positions, theta):
    """x [B, H, T, D]; rotate-half pairing (i, i + D/2), positions [B, T]."""
    half = x.shape[-1] // 2
    frequency = theta ** (-torch.arange(half, dtype=x.dtype) / half)
    angle = positions[:, None, :, None].to(x.dtype) * frequency
    a, b = x[..., :half], x[..., half:]
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Model:
    """A Llama with a student's tensors. All maths in `dtype`.

    config: the fields of a Hugging Face config.json; weights: its tensors.
    student: {'layers.{i}.feature_map_q': [H, D, F], ...feature_map_q_bias:
    [H, F], 'layers.{i}.window_factor': [H], 'layers.{i}.lora.{q,k,v,o}.A':
    [r, in], ...B: [out, r], ...}. Tied maps are feature_map_q alone; one map
    for all heads has 1 for H.
    """

    def __init__(self, config, weights, dtype=torch.float64):
        self.config = config
        self.dtype = dtype
        self.weights = {n: w.to(dtype) for n, w in weights.items()}
        self.layers = config['num_hidden_layers']
        self.H = config['num_attention_heads']
        self.Hkv = config['num_key_value_heads']
        self.D = config.get('head_dim') or config['hidden_size'] // self.H
        rope_fields = config.get('rope_parameters') or config
        self.theta = rope_fields.get('rope_theta', 10000.0)
        self.eps = config['rms_norm_eps']
        self.lora_scale = 0.0
        self.student = {}

    def initial_student(self, features=None):
        """Identity feature maps and gamma = 0.1; no LoRA."""
        eye = torch.eye(self.D, features or self.D, dtype=self.dtype)
        for i in range(self.layers):
            for n in ('feature_map_q', 'feature_map_k'):
                self.student[f'layers.{i}.{n}'] = eye.repeat(self.H, 1, 1)
            self.student[f'layers.{i}.window_factor'] = torch.full(
                (self.H,), WINDOW_FACTOR_INIT, dtype=self.dtype)

    def set_student(self, tensors, lora_alpha=16):
        self.student = {n: t.to(self.dtype).clone() for n, t in tensors.items()}
        ranks = [t.shape[0] for n, t in tensors.items() if n.endswith('.A')]
        self.lora_scale = lora_alpha / ranks[0] if ranks else 0.0

    def lora_shapes(self, rank, projections='qkvo'):
        """{name: shape} of the LoRA factors, in their order."""
        shapes = {}
        for i in range(self.layers):
            for p in projections:
                out, in_ = self.projection(i, p).shape
                shapes[f'layers.{i}.lora.{p}.A'] = (rank, in_)
                shapes[f'layers.{i}.lora.{p}.B'] = (out, rank)
        return shapes

    def projection(self, layer, name):
        return self.weights[
            f'model.layers.{layer}.self_attn.{name}_proj.weight']

    def project(self, layer, name, x, adapters):
        y = x @ self.projection(layer, name).T
        a = self.student.get(f'layers.{layer}.lora.{name}.A')
        if adapters and a is not None:
            b = self.student[f'layers.{layer}.lora.{name}.B']
            y = y + self.lora_scale * ((x @ a.T) @ b.T)
        return y

    def layer_student(self, layer):
        prefix = f'layers.{layer}.'
        own = {n.removeprefix(prefix): t for n, t in self.student.items()
               if n.startswith(prefix)}
        if 'feature_map_k' not in own:
            own['feature_map_k'] = own['feature_map_q']
            if 'feature_map_q_bias' in own:
                own['feature_map_k_bias'] = own['feature_map_q_bias']
        return own

    def forward(self, tokens, attention, mode='teacher', terms=None,
                documents=None, transfer=None, masses=None):
        """tokens [B, T] -> logits [B, T, V].

        mode: a component mode, or `terms` [layers, B, H]: bits a head, adapters
        on. documents [B, T]: attention, sinks and positions start afresh where
        it changes. transfer: a list that gets each converted layer's {mse,
        xent, kl} of student `mode` against the teacher; the teacher's output
        then goes on to the next layer and adapters are off. masses: a list that
        gets each layer's {la_mass, la_output_share, teacher_out_mass} [H].
        """
        B, T = tokens.shape
        where = torch.arange(T).repeat(B, 1)
        segments = torch.zeros(B, T, dtype=torch.long)
        if documents is not None:
            starts = torch.cat([torch.ones(B, 1, dtype=torch.bool),
                                documents[:, 1:] != documents[:, :-1]], 1)
            segments = starts.cumsum(1)
            first = (where * starts).cummax(1).values
            where = where - first
        causal, classes = key_classes(where, segments, attention)
        adapters = transfer is None and (
            terms is not None or mode not in ADAPTERS_OFF)
        x = self.weights['model.embed_tokens.weight'][tokens]
        for i in range(self.layers):
            p = f'model.layers.{i}.'
            h = rms_norm(x, self.weights[p + 'input_layernorm.weight'],
                         self.eps)
            q, k, v = (self.project(i, n, h, adapters).view(
                B, T, heads, self.D).transpose(1, 2)
                for n, heads in (('q', self.H), ('k', self.Hkv),
                                 ('v', self.Hkv)))
            q, k = rope(q, where, self.theta), rope(k, where, self.theta)
            k, v = (t.repeat_interleave(self.H // self.Hkv, 1) for t in (k, v))
            y = self.mix(i, q, k, v, attention, mode, terms, causal, classes,
                         transfer, masses)
            x = x + self.project(i, 'o', y.transpose(1, 2).reshape(B, T, -1),
                                 adapters)
            h = rms_norm(x, self.weights[p + 'post_attention_layernorm.weight'],
                         self.eps)
            mlp = {n: self.weights[f'{p}mlp.{n}_proj.weight'].T
                   for n in ('gate', 'up', 'down')}
            x = x + (F.silu(h @ mlp['gate']) * (h @ mlp['up'])) @ mlp['down']
        if transfer is not None:
            return None
        x = rms_norm(x, self.weights['model.norm.weight'], self.eps)
        head = self.weights.get('lm_head.weight')
        if head is None or self.config.get('tie_word_embeddings'):
            head = self.weights['model.embed_tokens.weight']
        return x @ head.T

    def mix(self, layer, q, k, v, attention, mode, terms, causal, classes,
            transfer, masses):
        B = q.shape[0]
        if layer in attention.softmax_layers:
            bits = None
        elif terms is not None:
            bits = terms[layer]
        elif mode in FULL_SOFTMAX:
            bits = None
        else:
            bits = torch.full((B, self.H), TERMS_OF_MODE[mode])
        if bits is None:
            return causal_attention(q, k, v, causal)
        student = self.layer_student(layer)
        if transfer is not None:
            with torch.no_grad():
                teacher = causal_attention(q, k, v, causal)
            out = hybrid_attention(q, k, v, student, bits, classes, causal,
                                   attention)
            xent, kl = weight_losses(out)
            transfer.append({'mse': (out['y'] - teacher).square().mean(),
                             'xent': xent, 'kl': kl})
            return teacher
        out = hybrid_attention(q, k, v, student, bits, classes, causal,
                               attention)
        if masses is not None:
            masses.append(layer_masses(out, classes, causal))
        return out['y']


def layer_masses(out, classes, causal):
    """Means over rows with L_n non-empty, [H] each."""
    past = (classes & LINEAR_PAST) > 0
    rows = past.any(-1)[:, None]  # [B, 1, T]
    den = out['softmax_den'] + out['linear_den']
    linear, softmax = (out[n].norm(dim=-1)
                       for n in ('linear_part', 'softmax_part'))
    teacher = out['scores'].masked_fill(~causal[:, None], -math.inf).softmax(-1)

    def mean(values):
        kept = torch.where(rows, values, 0.0)
        return (kept.sum((0, 2)) / rows.sum()).detach()
    return {'la_mass': mean(out['linear_den'] / den),
            'la_output_share': mean(linear / (linear + softmax)),
            'teacher_out_mass': mean((teacher * past[:, None]).sum(-1))}


def token_losses(logits, targets):
    """Next-token cross-entropy in nats, [B, T]."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(),
                           reduction='none').view(targets.shape)


def mode_losses(model, rows, attention, modes=ALL_MODES, batch=4,
                documents=None):
    """Loss of every mode (nats a token: mean, a row, second half of the rows)
    and the hybrid's masses a layer and head, [layers][H]."""
    result = {}
    for mode in modes:
        if mode == 'sinks_only' and not attention.sinks:
            continue
        nll, masses = [], []
        with torch.no_grad():
            for i in range(0, len(rows), batch):
                b, m = rows[i:i + batch], [] if mode == 'hybrid' else None
                nll.append(token_losses(model.forward(
                    b[:, :-1], attention, mode, masses=m, documents=None
                    if documents is None else documents[i:i + batch]),
                    b[:, 1:]))
                masses.append(m)
        nll = torch.cat(nll)
        result[mode] = {
            'loss': nll.mean().item(), 'per_row': nll.mean(1).tolist(),
            'second_half': nll[:, nll.shape[1] // 2:].mean().item()}
        if mode == 'hybrid':
            assert len(rows) % batch == 0, 'batches of equal size'
            result['masses'] = {
                name: [torch.stack([m[i][name] for m in masses]).mean(0)
                       .tolist() for i in range(model.layers)]
                for name in masses[0][0]}
    return result


def generate(model, prompt, new_tokens, attention, mode):
    """Greedy continuation of token ids `prompt`, and the smallest margin of
    the best logit over the second best on the way."""
    ids, margin = list(prompt), math.inf
    with torch.no_grad():
        for _ in range(new_tokens):
            logits = model.forward(torch.tensor([ids]), attention, mode)[0, -1]
            best = logits.topk(2)
            margin = min(margin, (best.values[0] - best.values[1]).item())
            ids.append(best.indices[0].item())
    return ids[len(prompt):], margin


def sample_rows(model, rows, length, seed):
    """Token ids [rows, length] drawn from the teacher itself, so that it
    predicts them best."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, model.config['vocab_size'], (rows, 1),
                           generator=generator)
    with torch.no_grad():
        while tokens.shape[1] < length:
            logits = model.forward(tokens, Attention())[:, -1]
            tokens = torch.cat([tokens, torch.multinomial(
                (1.5 * logits).softmax(-1), 1, generator=generator)], 1)
    return tokens
