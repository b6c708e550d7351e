#include "core/model/mode_overrides.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace caracal {
namespace {

bool Contains(const std::vector<NumberSpan>& spans, int64_t number) {
  return spans.empty() ||
         std::any_of(spans.begin(), spans.end(), [&](const NumberSpan& span) {
           return span.first <= number && number <= span.last;
         });
}

std::string SpansText(const std::vector<NumberSpan>& spans) {
  return absl::StrJoin(spans, ",", [](std::string* out, const NumberSpan& s) {
    absl::StrAppend(out, s.first);
    if (s.last != s.first) absl::StrAppend(out, "-", s.last);
  });
}

absl::StatusOr<std::vector<NumberSpan>> ParseSpans(absl::string_view text) {
  std::vector<NumberSpan> spans;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::vector<absl::string_view> ends = absl::StrSplit(part, '-');
    NumberSpan span;
    if (ends.size() > 2 || !absl::SimpleAtoi(ends.front(), &span.first) ||
        !absl::SimpleAtoi(ends.back(), &span.last) || span.first < 0 ||
        span.last < span.first) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", part, "' is no number or range; expected numbers as in 0-3,7"));
    }
    spans.push_back(span);
  }
  return spans;
}

absl::Status CheckSpans(const std::vector<NumberSpan>& spans, const char* what,
                        int64_t count) {
  for (const NumberSpan& span : spans) {
    if (span.last < count) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("there is no ", what, " ", span.last, "; the model has ",
                     what, "s 0 to ", count - 1));
  }
  return absl::OkStatus();
}

// Calls fn(layer) for the layers the override is of.
template <typename Fn>
void ForLayers(const ModeOverride& at, const StudentConfig& student,
               int64_t layers, Fn fn) {
  for (int64_t i = 0; i < layers; ++i) {
    if (Contains(at.layers, i) && !student.IsSoftmaxLayer(i)) fn(i);
  }
}

// `softmax`: layers that run full softmax so far, [layers].
absl::Status CheckOne(const ModeOverride& at, ComponentMode base,
                      const StudentConfig& student, int64_t heads,
                      std::vector<bool>* softmax) {
  const int64_t layers = static_cast<int64_t>(softmax->size());
  RETURN_IF_ERROR(CheckSpans(at.layers, "layer", layers));
  RETURN_IF_ERROR(CheckSpans(at.heads, "head", heads));
  for (int64_t i = 0; i < layers && !at.layers.empty(); ++i) {
    if (!Contains(at.layers, i) || !student.IsSoftmaxLayer(i)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("layer ", i, " was kept as softmax and is never changed"));
  }
  if (at.mode == ComponentMode::kSinksOnly && student.attention.sinks == 0) {
    return absl::InvalidArgumentError("sinks_only needs sinks of at least 1");
  }
  if (AdaptersOn(at.mode) != AdaptersOn(base)) {
    return absl::InvalidArgumentError(absl::StrCat(
        NameOf(at.mode), " has LoRA ", AdaptersOn(at.mode) ? "on" : "off",
        ", and ", NameOf(base), " around it ", AdaptersOn(base) ? "on" : "off",
        "; it is the same everywhere"));
  }
  if (IsFullSoftmax(at.mode) && !at.heads.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(NameOf(at.mode), " goes for whole layers only"));
  }
  absl::Status status;
  ForLayers(at, student, layers, [&](int64_t i) {
    if ((*softmax)[i] && !at.heads.empty()) {
      status.Update(absl::InvalidArgumentError(
          absl::StrCat("layer ", i,
                       " is in full softmax, which goes for whole "
                       "layers: give all its heads a mode first")));
    }
    (*softmax)[i] = IsFullSoftmax(at.mode);
  });
  return status;
}

}  // namespace

std::string ModeOverride::ToString() const {
  std::string text;
  if (!layers.empty())
    absl::StrAppend(&text, "layers=", SpansText(layers), ":");
  if (!heads.empty()) absl::StrAppend(&text, "heads=", SpansText(heads), ":");
  return absl::StrCat(text, NameOf(mode));
}

absl::StatusOr<ModeOverride> ParseModeOverride(absl::string_view text) {
  ModeOverride at;
  std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  ASSIGN_OR_RETURN(at.mode, ComponentModeFromName(parts.back()));
  parts.pop_back();
  for (absl::string_view part : parts) {
    std::vector<NumberSpan>* spans =
        absl::ConsumePrefix(&part, "layers=")  ? &at.layers
        : absl::ConsumePrefix(&part, "heads=") ? &at.heads
                                               : nullptr;
    if (spans == nullptr || !spans->empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", part, "' is ", spans == nullptr ? "not" : "a second one",
          " of layers=... and heads=..., which stand before the mode with "
          "colons between"));
    }
    ASSIGN_OR_RETURN(*spans, ParseSpans(part));
  }
  return at;
}

absl::Status CheckModeOverrides(const std::vector<ModeOverride>& overrides,
                                ComponentMode base,
                                const StudentConfig& student, int64_t layers,
                                int64_t heads) {
  std::vector<bool> softmax(layers, IsFullSoftmax(base));
  for (const ModeOverride& at : overrides) {
    const absl::Status status = CheckOne(at, base, student, heads, &softmax);
    if (!status.ok()) return Annotate(status, at.ToString());
  }
  return absl::OkStatus();
}

void ApplyModeOverrides(const std::vector<ModeOverride>& overrides,
                        const StudentConfig& student, ModePlan* plan) {
  for (const ModeOverride& at : overrides) {
    ForLayers(at, student, plan->layers(), [&](int64_t i) {
      if (at.heads.empty()) {
        plan->SetLayer(i, at.mode);
        return;
      }
      for (int64_t s = 0; s < plan->sequences(); ++s) {
        for (int64_t h = 0; h < plan->heads(); ++h) {
          if (Contains(at.heads, h)) plan->SetHead(i, s, h, at.mode);
        }
      }
    });
  }
}

}  // namespace caracal
