// Hybrid attention: a sliding softmax window with sinks, plus linear
// attention over the rest of the past, under one normaliser.
//
// Per query head, at position n of its sequence (RoPE already applied):
//     A_n  = { j <= n : j >= WindowStart(n)  or  j < S }     softmax set
//     L_n  = { j <= n } \ A_n                                linear set
//     s_nj = q_n . k_j / sqrt(D)          c_n = max over A_n of s_nj
//     num  = gamma sum_{A_n} exp(s_nj - c_n) v_j
//          + alpha sum_{L_n} (phi_q(q_n) . phi_k(k_j)) v_j
//     den  = the same sums without v_j;      y_n = num / den  (0 if den = 0)
// with WindowStart(n) = n - W + 1 for a sliding window. The linear terms are
// not shifted by c_n, so c_n is the exact row maximum and has a gradient.
// Source: LoLCATs (arXiv 2410.10254) section 3, and the paper on component
// imbalance (arXiv 2510.05901).
//
// Cost per head: O(T (W + S + F)) D time; nothing is T x T. The forward's
// workspace is O(W + S + F D) a thread, the backward's O(T (F + D)) a thread.
// A call with one row (decoding) costs what reading window, weights and state
// once costs.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_H_

#include <cstddef>
#include <cstdint>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"
#include "kernels/feature_map/feature_map.h"

namespace caracal::kernels {

// Which terms of the two sums a head computes: a bit set, so a component
// mode is a constant. Every key of a row has exactly one class.
enum Terms : uint8_t {
  kNearTerms = 1,         // softmax: keys of the window that are no sinks
  kNearSinkTerms = 2,     // softmax: sinks inside the window
  kFarSinkTerms = 4,      // softmax: sinks left of the window
  kLinearPastTerms = 8,   // linear: L_n
  kLinearNearTerms = 16,  // linear: A_n (its keys' linear terms)
};
// The component modes of docs/method.md.
inline constexpr uint8_t kHybridTerms =
    kNearTerms | kNearSinkTerms | kFarSinkTerms | kLinearPastTerms;
inline constexpr uint8_t kSwaOnlyTerms =
    kNearTerms | kNearSinkTerms | kFarSinkTerms;
inline constexpr uint8_t kLaOnlyTerms = kLinearPastTerms | kLinearNearTerms;
inline constexpr uint8_t kLaPastTerms = kLinearPastTerms;
inline constexpr uint8_t kSinksOnlyTerms = kNearSinkTerms | kFarSinkTerms;
inline constexpr uint8_t kNoTerms = 0;
inline constexpr int kTermKinds = 32;  // that there are

// Bit t is set where one of `count` heads has the Terms t.
inline uint32_t TermKindsOf(const uint8_t* terms, int64_t count) {
  uint32_t kinds = 0;
  for (int64_t i = 0; i < count; ++i) kinds |= uint32_t{1} << terms[i];
  return kinds;
}

enum class WindowKind : uint8_t {
  kSliding,   // WindowStart(n) = max(0, n - W + 1)
  kTerraced,  // WindowStart(n) = max(0, (n / W - 1) * W): own block + previous
  // Faults of LoLCATs' public code, for its checkpoints: as kTerraced, but
  // blocks are counted back from the sequence's end; and in a sequence of at
  // most W tokens every key is in L_n besides. What a position sees depends on
  // tokens after it, so there is no decoding with it: calls have no past.
  kLolcatsTerraced,
};

// "sliding", "terraced", "lolcats_terraced".
constexpr const char* NameOf(WindowKind kind) {
  return kind == WindowKind::kSliding    ? "sliding"
         : kind == WindowKind::kTerraced ? "terraced"
                                         : "lolcats_terraced";
}

// Tokens that a kLolcatsTerraced sequence's first block is short of W.
constexpr int64_t LolcatsPhase(int64_t window, int64_t length) {
  const int64_t over = length % window;
  return over == 0 ? 0 : window - over;
}

// Left border of the softmax window of position n (absolute in its sequence,
// of `length` tokens).
inline int64_t WindowStart(WindowKind kind, int64_t window, int64_t n,
                           int64_t length) {
  if (kind == WindowKind::kSliding) {
    return n - window + 1 > 0 ? n - window + 1 : 0;
  }
  const int64_t phase =
      kind == WindowKind::kLolcatsTerraced ? LolcatsPhase(window, length) : 0;
  const int64_t start = ((n + phase) / window - 1) * window - phase;
  return start > 0 ? start : 0;
}

// Whether A_n belongs to L_n as well, for every n of a sequence.
constexpr bool NearKeysAreLinear(WindowKind kind, int64_t window,
                                 int64_t length) {
  return kind == WindowKind::kLolcatsTerraced && length <= window;
}

// What stays the same for all heads and rows of a call.
struct HybridAttentionConfig {
  int64_t window = 64;  // W >= 1, tokens
  int64_t sinks = 0;    // S >= 0, tokens
  WindowKind window_kind = WindowKind::kSliding;
  FeatureMapKind feature_map = FeatureMapKind::kHedgehog;
  bool affine = false;  // alpha_h = 1 - gamma_h instead of 1
};

// Whether L_n is empty for position n of a sequence of `length` tokens.
inline bool LinearSetEmpty(const HybridAttentionConfig& config, int64_t n,
                           int64_t length) {
  return !NearKeysAreLinear(config.window_kind, config.window, length) &&
         WindowStart(config.window_kind, config.window, n, length) <=
             config.sinks;
}

// The past of each sequence, carried from an earlier call (prefill in pieces,
// decoding, a shared prefix). Undefined views: every sequence starts here.
// Position 0 of the call's sequence i is its absolute position length[i].
//   past_k, past_v [N, P, Hkv, D]  the keys from WindowStart(length[i]) to
//                  length[i] - 1, right-aligned: the newest is row P - 1
//                  (P >= 2W - 1 for terraced, >= W - 1 for sliding windows)
//   sink_k, sink_v [N, S, Hkv, D]  the first min(S, length[i]) keys
//   state [N, H, Fout, D], state_norm [N, H, Fout], fp32: sums over j in
//                  [S, WindowStart(length[i])) of phi_k(k_j) v_j^T, phi_k(k_j)
// state and state_norm are updated in place to the end of the call, whatever
// the terms, so that a sequence may change its mode half-way; they may be
// undefined if no term of the call is linear, and then no feature is computed.
// Keeping past_k and sink_k up to date is the caller's part (it appends raw
// keys). Rows of past_k, sink_k that hold no key are never read.
struct HybridAttentionPast {
  const int64_t* length = nullptr;  // [N] host memory, tokens
  ConstTensorView past_k, past_v;
  ConstTensorView sink_k, sink_v;
  TensorView state, state_norm;
};

// Rows of all sequences lie one after another: `rows` = sum of lengths.
//   q  [rows, H, D]   k, v [rows, Hkv, D]   y [rows, H, D]
// fp32 on the CPU; strided in the first two dimensions, unit stride in the
// last (so q, k, v may be slices of one projection's output). H % Hkv == 0;
// query head h reads key/value head h / (H / Hkv).
struct HybridAttentionInputs {
  ConstTensorView q, k, v;
  // [H, D, F] feature-map weights, or [1, D, F]: one map for all heads;
  // undefined if no term is linear and no state is carried.
  ConstTensorView weight_q, weight_k;
  ConstTensorView bias_q, bias_k;  // [H, F] or [1, F] as above, or undefined
  ConstTensorView window_factor;   // [H] w_h; gamma_h = sigmoid(w_h)
  // Sequence i owns rows [offsets[i], offsets[i + 1]); attention, sinks and
  // state never cross sequences. Host memory, offsets[0] = 0.
  const int64_t* offsets = nullptr;  // [sequences + 1]
  int64_t sequences = 0;
  // Terms of (sequence i, head h) at terms[i * H + h]; host memory, never
  // null. SSD and attribution pick a component mode per sample and head here.
  const uint8_t* terms = nullptr;  // [sequences, H]
  // Read by calls on a CUDA device, may be null: the table there. What such a
  // call launches depends on term_kinds, not on the table, which need not be
  // filled before the stream comes to it. Bit t of term_kinds is set where some
  // head may have the Terms t, of at least one. More bits than needed cost
  // launches, and may take a head to a slower kernel: one that is right for
  // all.
  const uint8_t* device_terms = nullptr;
  uint32_t term_kinds = 0;
};

// y, and statistics that may each be undefined, all [H, rows] fp32:
//   row_max      c_n (of the full A_n, whatever `terms` drops)
//   softmax_den  gamma sum_{A_n} exp(s_nj - c_n)  over the terms kept
//   linear_den   alpha sum phi_q . phi_k          over the terms kept
// so den = softmax_den + linear_den.
struct HybridAttentionOutputs {
  TensorView y;  // [rows, H, D]
  TensorView row_max, softmax_den, linear_den;
};

// Gradients, each [shape of its input] fp32. dq, dk, dv may be undefined
// (transfer trains feature maps only); those that are defined are
// overwritten. dweight_*, dbias_*, dwindow_factor may be undefined and are
// ADDED to: parameters accumulate, activations assign. Those of queries and
// keys may be the same memory (tied feature maps).
struct HybridAttentionGradients {
  TensorView dq, dk, dv;
  TensorView dweight_q, dweight_k;
  TensorView dbias_q, dbias_k;
  TensorView dwindow_factor;
};

// Either the gradient that comes from above, or a regression target: with
// `target` [rows, H, D], dy = scale * (y - target) where y is recomputed, and
// sum over all elements of (y - target)^2 is added to *squared_error. That is
// attention transfer in one pass: no separate forward, y is never stored.
struct HybridAttentionCotangent {
  ConstTensorView dy;      // [rows, H, D], or undefined
  ConstTensorView target;  // [rows, H, D], or undefined; exactly one is set
  float scale = 0;
  double* squared_error = nullptr;
};

size_t HybridAttentionForwardWorkspaceBytes(const Context& ctx,
                                            const HybridAttentionConfig& config,
                                            const HybridAttentionInputs& in);

// Forward. `past` may be null.
void HybridAttentionForward(const Context& ctx,
                            const HybridAttentionConfig& config,
                            const HybridAttentionInputs& in,
                            const HybridAttentionPast* past,
                            const HybridAttentionOutputs& out,
                            Workspace workspace);

size_t HybridAttentionBackwardWorkspaceBytes(
    const Context& ctx, const HybridAttentionConfig& config,
    const HybridAttentionInputs& in, const HybridAttentionGradients& grads);

// Backward; recomputes the forward blockwise, so it needs no saved activation
// but its inputs. Sequences start at position 0 (no past). Results do not
// depend on the number of threads (the size of the workspace does). c_n's
// gradient goes to the first key that attains the maximum.
void HybridAttentionBackward(const Context& ctx,
                             const HybridAttentionConfig& config,
                             const HybridAttentionInputs& in,
                             const HybridAttentionCotangent& cotangent,
                             const HybridAttentionGradients& grads,
                             Workspace workspace);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_H_
