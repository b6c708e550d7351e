#include "core/io/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/base/status.h"

namespace caracal {
namespace {

// Steps of one match: patterns in use may back-track once over a run of white
// space, however long, so the bound grows with the text.
constexpr size_t kBaseSteps = 1000000;
constexpr size_t kStepsPerByte = 4;
constexpr size_t kMaxPatternBytes = 65536;
constexpr size_t kJitStackStart = 64 << 10;  // bytes
constexpr size_t kJitStackMax = 8 << 20;     // bytes

std::string PcreMessage(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct RegexState::Impl {
  Impl()
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)) {
    CARACAL_CHECK(data != nullptr && context != nullptr) << "out of memory";
  }
  ~Impl() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    if (stack != nullptr) pcre2_jit_stack_free(stack);
  }

  pcre2_match_data* data;
  pcre2_match_context* context;
  // Made when a match first outgrows the machine stack's 32 KiB.
  pcre2_jit_stack* stack = nullptr;
};

RegexState::RegexState() : impl_(std::make_unique<Impl>()) {}
RegexState::~RegexState() = default;

struct Regex::Impl {
  ~Impl() {
    if (code != nullptr) pcre2_code_free(code);
  }

  int Run(absl::string_view text, size_t start, RegexState::Impl* state) const {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    if (jit) {
      return pcre2_jit_match(code, subject, text.size(), start, 0, state->data,
                             state->context);
    }
    return pcre2_match(code, subject, text.size(), start, PCRE2_NO_UTF_CHECK,
                       state->data, state->context);
  }

  pcre2_code* code = nullptr;
  bool jit = false;
};

Regex::Regex(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Regex::~Regex() = default;

absl::StatusOr<std::unique_ptr<Regex>> Regex::Compile(
    absl::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("pattern of ", pattern.size(), " bytes: at most ",
                     kMaxPatternBytes, " are supported"));
  }
  ASSIGN_OR_RETURN(const std::string translated, OnigurumaToPcre2(pattern));
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  CARACAL_CHECK(context != nullptr) << "out of memory";
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto impl = std::make_unique<Impl>();
  impl->code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
      &offset, context);
  pcre2_compile_context_free(context);
  if (impl->code == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("pattern \"", pattern, "\": ", PcreMessage(error)));
  }
  impl->jit = pcre2_jit_compile(impl->code, PCRE2_JIT_COMPLETE) == 0;
  return std::unique_ptr<Regex>(new Regex(std::move(impl)));
}

absl::StatusOr<Regex::Match> Regex::Find(absl::string_view text, size_t start,
                                         RegexState* state) const {
  if (text.data() == nullptr) text = "";  // PCRE2 10.42 takes no null subject
  RegexState::Impl* s = state->impl_.get();
  const size_t steps = std::min<size_t>(
      kBaseSteps + kStepsPerByte * (text.size() - start), 0xFFFFFFFFu);
  pcre2_set_match_limit(s->context, static_cast<uint32_t>(steps));
  pcre2_set_depth_limit(s->context, static_cast<uint32_t>(steps));
  int rc = impl_->Run(text, start, s);
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT && s->stack == nullptr) {
    s->stack = pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr);
    pcre2_jit_stack_assign(s->context, nullptr, s->stack);
    rc = impl_->Run(text, start, s);
  }
  if (rc == PCRE2_ERROR_NOMATCH) return Match{false, 0, 0};
  if (rc < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("matching a tokenizer pattern at byte ", start, " of ",
                     text.size(), ": ", PcreMessage(rc)));
  }
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(s->data);
  // \K can put the start of a match before or behind where it should be.
  if (ends[0] < start || ends[1] < ends[0]) {
    return absl::InvalidArgumentError(
        "a tokenizer pattern moves the start of its match (\\K)");
  }
  return Match{true, ends[0], ends[1]};
}

}  // namespace caracal
